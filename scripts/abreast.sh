#!/usr/bin/env bash
# abreast.sh TARGET...: makes targets side by side. What the first one prints is shown as it comes, what the others print when it is over.
# For parts that wait more than they compute.
set -uo pipefail
cd "$(dirname "$0")/.."
first=$1
shift
printed=$(mktemp -d)
trap 'rm -rf "$printed"' EXIT
pids=() status=0
for target; do
    make "$target" >"$printed/$target" 2>&1 &
    pids+=($!)
done
make "$first" || status=$?
for target; do
    wait "${pids[0]}" || status=$?
    pids=("${pids[@]:1}")
    cat "$printed/$target"
done
exit "$status"
