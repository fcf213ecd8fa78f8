#!/usr/bin/env python3
"""Checks which crate depends on which, and that the crates that decide touch nothing of the world.

    scripts/purity.py                 check this workspace
    scripts/purity.py --write         copy the one list of forbidden calls into every pure crate
    scripts/purity.py --fixtures DIR  every workspace under DIR must fail, with the text of its `expect` file

Three rules, each with the reason why it stands:

1. Arrows: a crate depends only on the crates that `ARROWS` gives it. The table is the architecture; a new line in it is
   a decision, so a crate that is not in it fails the check.
2. Purity of what is linked: the normal dependency tree of a pure crate, as cargo resolves it for that crate alone,
   holds no runtime, no socket, no client and no source of randomness.
3. Purity of what is called: a pure crate carries `scripts/pure-clippy.toml` as its clippy.toml, inherits the workspace
   lints that deny what is listed there, and nowhere in src/ lifts them. Clippy sees through renames and re-exports, which a
   search for text does not.
"""

import json
import pathlib
import re
import subprocess
import sys

REPO = pathlib.Path(__file__).resolve().parent.parent
FORBIDDEN_CALLS = REPO / "scripts" / "pure-clippy.toml"

PURE = {"model", "ipam", "announce", "membership", "layer2-proto", "bgp-proto", "bfd-proto", "api", "translate"}

# crate -> the crates of ours it may depend on (normal and build dependencies).
ARROWS = {
    # pure: values in, values out
    "model": set(),
    "api": {"model"},
    "ipam": {"model"},
    "announce": {"model"},
    "membership": {"model"},
    "layer2-proto": {"model"},
    "bgp-proto": {"model"},
    "bfd-proto": {"model"},
    "translate": {"api", "model"},
    # IO: each around the pure crate it drives
    "k8s": {"translate", "api", "model"},
    "layer2": {"layer2-proto", "model"},
    "bgp": {"bgp-proto", "bfd-proto", "model"},
    "telemetry": set(),
    # loops: observe, decide, act
    "controller": {"k8s", "translate", "ipam", "model", "api", "telemetry"},
    "speaker": {
        "k8s", "translate", "announce", "membership", "layer2", "layer2-proto", "bgp", "bgp-proto", "bfd-proto", "model", "api",
        "telemetry",
    },
    # the binary
    "cli": {
        "model", "api", "ipam", "announce", "membership", "layer2-proto", "translate",
        "k8s", "layer2", "bgp", "bgp-proto", "bfd-proto", "telemetry", "controller", "speaker",
    },
    # tests: they look at the product from outside, so they may read its types and nothing that acts
    "lab": {"model", "api"},
    "e2e": {"lab", "model", "api"},
    "backend": set(),
    "apiserver": set(),
    # the drivers, held beside what other people's routers show
    "interop": {"lab", "model", "bgp", "bgp-proto", "bfd-proto"},
    # benchmarks: they time decisions, and the controller's binary from outside
    "bench": {"model", "ipam", "api", "apiserver"},
}

# A dev-dependency is not linked into the product. Still nothing may reach up to the binary or to the loops, and a pure
# crate's tests stay pure.
DEV_FORBIDDEN = {"cli", "controller", "speaker"}

# Crates whose presence in the normal tree of a pure crate means that it could do IO, read a clock in its own way, start
# a runtime, or draw a random number.
IMPURE = re.compile(
    r"""^(
      tokio(-.*)? | mio | async-(std|io|global-executor|executor) | smol | futures-timer | rayon.* | crossbeam-channel
    | socket2 | libc | nix | rustix | errno | signal-hook.* | polling | io-uring | windows-sys | windows-targets
    | rtnetlink | netlink-.* | pnet | pnet_datalink | pnet_sys | pnet_transport | pcap
    | hyper(-.*)? | reqwest | ureq | tower(-.*)? | axum(-.*)? | rustls(-.*)? | native-tls | openssl(-.*)?
    | kube-(client|runtime)
    | getrandom | rand | rand_core | rand_chacha | fastrand | oorandom | ahash | uuid
    | time | chrono | quanta | coarsetime | tracing(-.*)? | log | env_logger | prometheus.*
    | dirs(-.*)? | home | tempfile | walkdir | notify | inotify | memmap2? | num_cpus
    )$""",
    re.VERBOSE,
)

SUPPRESSION = re.compile(r"\b(allow|expect|warn)\s*\([^)]*clippy::(disallowed_|all\b|style\b)", re.DOTALL)


def cargo(root, *arguments):
    """Runs cargo on the workspace at `root` without touching its lock file, and returns what it printed."""
    command = ["cargo", *arguments, "--manifest-path", str(root / "Cargo.toml"), "--locked"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return done.stdout


def short(package):
    """`ironlb-ipam` -> `ipam`; the binary's package is called plainly `ironlb`; None for somebody else's crate."""
    if package == "ironlb":
        return "cli"
    return package.removeprefix("ironlb-") if package.startswith("ironlb-") else None


def arrow_faults(packages):
    for package in packages:
        crate = short(package["name"])
        if crate not in ARROWS:
            yield f"{package['name']}: not in the table of arrows; add it to scripts/purity.py and to ARCHITECTURE.md with the reason"
            continue
        for dependency in package["dependencies"]:
            target = short(dependency["name"])
            if target is None:
                continue
            if dependency["kind"] == "dev":
                if target in DEV_FORBIDDEN or (crate in PURE and target not in PURE):
                    yield f"bad arrow (tests): {crate} -> {target}"
            elif target not in ARROWS[crate]:
                allowed = ", ".join(sorted(ARROWS[crate])) or "nothing of ours"
                yield f"bad arrow: {crate} -> {target}; {crate} may depend on {allowed}"


def linked_faults(root, crates):
    for crate in sorted(crates & PURE):
        tree = cargo(root, "tree", "--package", f"ironlb-{crate}", "--edges", "normal,no-proc-macro",
                     "--prefix", "none", "--format", "{p}", "--no-dedupe")
        names = {line.split()[0] for line in tree.splitlines() if line.strip()}
        for name in sorted(name for name in names if IMPURE.match(name)):
            yield f"impure dependency: {crate} (pure) links {name}; see `cargo tree -e normal -p ironlb-{crate} -i {name}`"


def call_faults(packages):
    wanted = FORBIDDEN_CALLS.read_bytes()
    for package in packages:
        crate = short(package["name"])
        if crate not in PURE:
            continue
        folder = pathlib.Path(package["manifest_path"]).parent
        copy = folder / "clippy.toml"
        if not copy.is_file() or copy.read_bytes() != wanted:
            yield f"{crate}: clippy.toml is not scripts/pure-clippy.toml; run scripts/purity.py --write"
        manifest = (folder / "Cargo.toml").read_text()
        if not re.search(r"^\[lints\]\s*\nworkspace = true\s*$", manifest, re.MULTILINE):
            yield f"{crate}: does not take the workspace's lints, so nothing denies the calls in clippy.toml"
        # Examples and integration tests are programs around the crate: they may read a file, and say why.
        for source in sorted((folder / "src").rglob("*.rs")):
            if SUPPRESSION.search(source.read_text()):
                yield f"{crate}: {source.relative_to(folder)} lifts the ban on impure calls"


def lint_faults(root):
    manifest = (root / "Cargo.toml").read_text()
    for lint in ("disallowed_methods", "disallowed_types", "disallowed_macros"):
        if not re.search(rf'^{lint} = "deny"', manifest, re.MULTILINE):
            yield f'Cargo.toml: [workspace.lints.clippy] has no {lint} = "deny"'


def faults(root):
    metadata = json.loads(cargo(root, "metadata", "--no-deps", "--format-version", "1"))
    packages = sorted(metadata["packages"], key=lambda package: package["name"])
    crates = {short(package["name"]) for package in packages}
    found = [*arrow_faults(packages), *lint_faults(root)]
    if not found:
        # A workspace whose arrows are wrong may not even resolve as cargo would link it; say the first thing first.
        found += [*linked_faults(root, crates), *call_faults(packages)]
    return found


def fixture_fails(root):
    """What the whole check, clippy included, says against the workspace at `root`; empty if it finds no fault."""
    found = faults(root)
    if found:
        return "\n".join(found)
    done = subprocess.run(
        ["cargo", "clippy", "--quiet", "--workspace", "--locked", "--offline", "--manifest-path", str(root / "Cargo.toml"),
         "--target-dir", str(target_directory() / "purity")],
        capture_output=True, text=True)
    return done.stderr if done.returncode != 0 else ""


def target_directory():
    return pathlib.Path(json.loads(cargo(REPO, "metadata", "--no-deps", "--format-version", "1"))["target_directory"])


def check_fixtures(directory):
    roots = sorted(path.parent for path in directory.glob("*/Cargo.toml"))
    if not roots:
        sys.exit(f"no fixture under {directory}")
    bad = 0
    for root in roots:
        expected = (root / "expect").read_text().strip()
        said = fixture_fails(root)
        if expected in said:
            print(f"  refused, as it must be: {root.name}")
        else:
            bad += 1
            print(f"  NOT REFUSED: {root.name}; wanted a failure with '{expected}', got:\n{said or '  (no fault)'}")
    sys.exit(1 if bad else 0)


def write():
    text = FORBIDDEN_CALLS.read_bytes()
    fixtures = sorted((REPO / "tests" / "fixtures" / "purity").glob("*/crates/*"))
    for folder in [*(REPO / "crates" / crate for crate in sorted(PURE)), *(f for f in fixtures if f.name in PURE)]:
        (folder / "clippy.toml").write_bytes(text)


def main(arguments):
    if arguments == ["--write"]:
        write()
    elif len(arguments) == 2 and arguments[0] == "--fixtures":
        check_fixtures(pathlib.Path(arguments[1]).resolve())
    elif not arguments:
        found = faults(REPO)
        for fault in found:
            print(fault)
        sys.exit(1 if found else 0)
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
