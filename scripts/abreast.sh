#!/usr/bin/env bash
# abreast.sh TARGET...: makes targets side by side. What the first one prints is shown as it comes, what the others print when it is over.
# For parts that wait more than they compute. Together they wait for a turn of their own on this machine (`tests/lab/src/turns.rs`): some
# measure time, which these do not disturb in each other, and other runs would.
set -uo pipefail
cd "$(dirname "$0")/.."
first=$1
shift
printed=$(mktemp -d)
trap 'rm -rf "$printed"' EXIT
pids=() status=0
turns=${XDG_CACHE_HOME:-$HOME/.cache}/ironlb/sites/turns
mkdir -p "$turns"
exec 8>"$turns/door"
flock 8
exec 9>"$turns/floor"
flock 9
exec 8>&-
export IRONLB_HAS_TURN=1
# Nothing that is started here keeps the turn when this ends: 9>&-.
for target; do
    make "$target" >"$printed/$target" 2>&1 9>&- &
    pids+=($!)
done
make "$first" 9>&- || status=$?
for target; do
    wait "${pids[0]}" || status=$?
    pids=("${pids[@]:1}")
    cat "$printed/$target"
done
exit "$status"
