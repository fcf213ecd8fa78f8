#!/usr/bin/env bash
# prune-cache.sh DIRECTORY GIGABYTES: keeps a shared cargo target directory below a size. What goes first is what grows:
# incremental state, then the artifacts of our own crates (test binaries above all, a set for every profile and feature);
# the dependencies, which are the reason to keep the directory at all, go last.
set -euo pipefail
directory=$1
limit=$(($2 * 1024 * 1024))
[[ -d $directory ]] || exit 0

too_big() { (($(du -sk "$directory" 2>/dev/null | cut -f 1) > limit)); }
too_big || exit 0

# Cargo holds these locks while it builds. A directory in use is pruned another day.
for lock in "$directory"/*/.cargo-lock "$directory"/*/*/.cargo-lock; do
    [[ -e $lock ]] || continue
    exec {fd}<"$lock"
    flock --nonblock "$fd" || { echo "  $directory is above $2 GB but in use; not pruned" && exit 0; }
done

echo "  $directory is above $2 GB: dropping incremental state"
find "$directory" -maxdepth 3 -type d -name incremental -exec rm -rf {} +
too_big || exit 0
echo '  still above: dropping artifacts of our own crates'
find "$directory" -maxdepth 5 -name '*ironlb*' ! -name '.ironlb*' -prune -exec rm -rf {} +
too_big || exit 0
echo '  still above: dropping everything'
find "$directory" -mindepth 1 -delete
