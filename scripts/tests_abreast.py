#!/usr/bin/env python3
"""tests_abreast.py ARGUMENTS...: `cargo test ARGUMENTS`, with as many test programs at once as there are processors.

Cargo runs them one after the other, and those that wait (for an API server, for a timer) leave the processors idle. What a
program says is printed whole when it ends. The ones that took longest last time begin first. Closed by one line that adds up
the programs' own closing lines; a test marked ignored, or none at all, does not count as passing.

Each program waits for a turn beside those of all other runs on this machine (`tests/lab/src/turns.rs`), so that it leaves the
processors to a scenario that measures time.
"""

import fcntl
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

COUNTS = re.compile(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)


def build(arguments):
    """Builds all test programs; each with the folder it runs in."""
    command = ["cargo", "test", "--locked", "--no-run", "--message-format=json-render-diagnostics", *arguments]
    built = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if built.returncode != 0:
        sys.exit(built.returncode)
    programs = []
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") == "compiler-artifact" and message["profile"]["test"] and message["executable"]:
            title = f'{Path(message["manifest_path"]).parent.name} {message["target"]["name"]}'
            programs.append((title, message["executable"], str(Path(message["manifest_path"]).parent)))
    return programs


def turn():
    """A turn that others share, until it is closed."""
    turns = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ironlb" / "sites" / "turns"
    turns.mkdir(parents=True, exist_ok=True)
    with open(turns / "door", "w") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        floor = open(turns / "floor", "w")
        fcntl.flock(floor, fcntl.LOCK_SH)
    return floor


def run(program):
    with turn():
        return run_now(program)


def run_now(program):
    title, executable, folder = program
    begun = time.monotonic()
    environment = {**os.environ, "CARGO_MANIFEST_DIR": folder, "CARGO": "cargo"}
    # A file and no pipe: nothing that a test has left behind is waited for.
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(
            [executable], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said, check=False
        )
        said.seek(0)
        return title, said.read().decode(errors="replace"), done.returncode, time.monotonic() - begun


def main():
    arguments = sys.argv[1:]
    programs = build(arguments)
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--no-deps", "--format-version", "1", "--locked"],
            stdout=subprocess.PIPE, text=True, check=True,
        ).stdout
    )
    record = Path(metadata["target_directory"]) / ".ironlb-test-times.json"
    try:
        took_before = json.loads(record.read_text())
    except (OSError, ValueError):
        took_before = {}
    programs.sort(key=lambda program: (-took_before.get(program[0], 0), program[0]))
    said, failed, took = [], [], {}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for future in as_completed([pool.submit(run, program) for program in programs]):
            title, text, code, seconds = future.result()
            print(f"\n     Running {title}\n{text.rstrip()}\n     {title}: {seconds:.1f} s", flush=True)
            said.append(text)
            took[title] = seconds
            if code != 0:
                failed.append(title)
    record.write_text(json.dumps(took))
    if any(argument in ("--workspace", "--doc") for argument in arguments):
        documented = subprocess.run(
            ["cargo", "test", "--locked", "--no-fail-fast", "--doc", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )
        print(documented.stdout, flush=True)
        said.append(documented.stdout)
        if documented.returncode != 0:
            failed.append("doc tests")
    results = [tuple(map(int, counts)) for text in said for counts in COUNTS.findall(text)]
    passed, broken, ignored = (sum(column) for column in zip(*results)) if results else (0, 0, 0)
    print(f"{passed} passed, {broken} failed, {ignored} ignored in {len(results)} runs")
    if failed:
        print(f"failed: {', '.join(sorted(failed))}", file=sys.stderr)
        sys.exit(1)
    if not results or ignored or broken:
        print("no test ran, or one is marked ignored: neither counts as passing", file=sys.stderr)
        sys.exit(1)


main()
