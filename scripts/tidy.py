#!/usr/bin/env python3
"""Rules of the house that no compiler keeps. Each stands with its reason; a rule that is in the way is changed here, in
the open, and not worked around."""

import pathlib
import re
import sys
import tomllib

REPO = pathlib.Path(__file__).resolve().parent.parent
SKIPPED = {".git", "target", "image", "fixtures", "node_modules"}

# Unsafe code stands in one file per crate, so that it can be read in one sitting.
UNSAFE_FILES_PER_CRATE = {"crates/layer2": 1, "crates/bgp": 1, "tests/lab": 1}

# A longer file holds more than one step or concept. Tests do not count: they live in files of their own.
LINES = 800
LONGER = {}  # path -> reason

# Names that say nothing about what is inside, and so collect everything.
EMPTY_NAMES = {"utils.rs", "util.rs", "helpers.rs", "helper.rs", "common.rs", "manager.rs", "types.rs", "misc.rs"}

TEXT_RULES = [
    (re.compile(r"#!?\[allow\("), "use #[expect(lint, reason = ...)]: it says why, and when it is no longer needed"),
    (re.compile(r"#\[ignore\b"), "a test that does not run proves nothing"),
    (re.compile(r"#\[should_panic\b"), "assert on the error instead: any panic would pass"),
    (re.compile(r"//! Placeholder"), "write the crate's own text"),
]


def files(pattern):
    for path in sorted(REPO.rglob(pattern)):
        relative = path.relative_to(REPO)
        if path.is_file() and not SKIPPED.intersection(relative.parts):
            yield path, relative


def source_faults():
    unsafe = {}
    for path, relative in files("*.rs"):
        text = path.read_text()
        if path.name in EMPTY_NAMES:
            yield f"{relative}: name the file for its step or concept"
        if path.name == "mod.rs" and "src" in relative.parts:
            # In tests/ cargo takes every other file for a test of its own.
            yield f"{relative}: a module is foo.rs beside foo/"
        if path.name in ("lib.rs", "main.rs") and path.parent.name == "src" and not text.startswith("//!"):
            yield f"{relative}: begin with what the crate does, what it does not do, its invariants, where to start"
        for rule, reason in TEXT_RULES:
            if found := rule.search(text):
                yield f"{relative}:{text.count(chr(10), 0, found.start()) + 1}: {found.group()}: {reason}"
        lines = text.count("\n")
        is_test = "tests" in relative.parts[2:] or path.stem in ("tests", "properties")
        if lines > LINES and not is_test and str(relative) not in LONGER:
            yield f"{relative}: {lines} lines; {LINES} is the limit"
        if re.search(r"(expect|allow)\([^)]*unsafe_code", text):
            unsafe.setdefault("/".join(relative.parts[:2]), []).append(str(relative))
    for crate, found in unsafe.items():
        if len(found) > UNSAFE_FILES_PER_CRATE.get(crate, 0):
            yield f"unsafe code in {', '.join(found)}: only one module of {', '.join(UNSAFE_FILES_PER_CRATE)} may hold it"


def document_faults():
    link = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
    for path, relative in files("*.md"):
        for target in link.findall(path.read_text()):
            if not re.match(r"[a-z]+:", target) and not (path.parent / target).exists():
                yield f"{relative}: the link to {target} leads nowhere"
    architecture = (REPO / "ARCHITECTURE.md").read_text()
    for path, relative in files("Cargo.toml"):
        folder = relative.parent
        if len(folder.parts) == 2 and f"`{folder}`" not in architecture:
            yield f"ARCHITECTURE.md: says nothing about `{folder}`"


def version_faults():
    version = tomllib.loads((REPO / "Cargo.toml").read_text())["workspace"]["package"]["version"]
    chart = (REPO / "charts" / "ironlb" / "Chart.yaml").read_text()
    for key in ("version", "appVersion"):
        found = re.search(rf'^{key}: "?([^"\n]+)"?$', chart, re.MULTILINE)
        if not found or found.group(1) != version:
            yield f"charts/ironlb/Chart.yaml: {key} is not {version}, the workspace's"


def main():
    faults = [*source_faults(), *document_faults(), *version_faults()]
    for fault in faults:
        print(fault)
    sys.exit(1 if faults else 0)


main()
