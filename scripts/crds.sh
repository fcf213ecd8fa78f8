#!/usr/bin/env bash
# crds.sh [--check]: writes crds/*.yaml from the types in crates/api; with --check, writes elsewhere and compares.
set -euo pipefail
cd "$(dirname "$0")/.."
generate() { cargo run --quiet --locked --package ironlb-api --example crds -- "$1"; }

if [[ ${1:-} != --check ]]; then
    mkdir -p crds
    generate crds
    exit
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
generate "$fresh"
[[ -n $(ls "$fresh") ]] || { echo 'no CRD was generated' >&2 && exit 1; }
diff --recursive --unified crds "$fresh" || {
    echo 'crds/ is not what crates/api generates: run make crds' >&2
    exit 1
}
