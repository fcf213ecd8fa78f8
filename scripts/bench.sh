#!/usr/bin/env bash
# bench.sh: runs every benchmark and closes with one table: what, measured, bar, kept or not. Fails if a bar is not kept.
set -euo pipefail
cd "$(dirname "$0")/.."
IRONLB_BENCH_TABLE=$(mktemp)
export IRONLB_BENCH_TABLE
trap 'rm -f "$IRONLB_BENCH_TABLE"' EXIT
kept=0

# row WHAT MEASURED UNIT BAR: a line of the table, for a number that must not exceed its bar.
row() {
    awk -v what="$1" -v measured="$2" -v unit="$3" -v bar="$4" \
        'BEGIN { printf "%s\t%s %s\t%s %s\t%s\n", what, measured, unit, bar, unit, (measured + 0 <= bar) ? "ok" : "OVER" }' \
        >>"$IRONLB_BENCH_TABLE"
}
example() { cargo run --quiet --locked --release --package "$1" --example "$2" -- "${@:3}"; }

# What is shipped is what is measured.
scripts/images.sh release image ironlb
target=$(cargo metadata --no-deps --format-version 1 --locked \
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
IRONLB_BINARY=$(ls -t "$target"/*-linux-*/release/ironlb | head -n 1)
export IRONLB_BINARY

cargo bench --quiet --locked --package ironlb-bench --bench plan_10k || kept=1
IRONLB_LAB_BIN=${IRONLB_LAB_BIN:-$(tests/controlplane/build.sh | tail -n 1)} \
    cargo bench --quiet --locked --package ironlb-bench --bench services_10k || kept=1

# The speaker's decision: "10000    100 Cluster    12.3ms    4.5ms".
while read -r services nodes policy unowned owned; do
    [[ $services:$nodes == 10000:100 ]] || continue
    for pair in "nothing owned:$unowned" "all owned:$owned"; do
        # Durations are printed with their unit: ms, or us with the micro sign.
        value=${pair#*:}
        if [[ $value == *ms ]]; then value=${value%ms}; else value=$(awk -v us="${value//[^0-9.]/}" 'BEGIN { print us / 1000 }'); fi
        row "the speaker's decision, 10,000 Services, 100 nodes, $policy, ${pair%%:*}" "$value" ms 25
    done
done < <(example ironlb-announce timing | tee /dev/stderr)

# Answers to ARP beside the kernel's own on the same link, in a network namespace of their own; needs root.
if ((EUID == 0)); then
    field() { sed -n "s/.*$1=\([0-9.]*\).*/\1/p" <<<"$answer"; }
    answer=$(example ironlb-layer2 arp_latency | tee /dev/stderr | tail -n 1)
    row 'ARP answers at 1,000/s, p50 against the kernel' "$(field ratio_p50)" x 10
    answer=$(example ironlb-layer2 arp_latency --busy "$(nproc)" | tee /dev/stderr | tail -n 1)
    row 'ARP answers at 1,000/s, p99 with every core busy' "$(field vip_p99_us)" us 1000
    # BGP and BFD, beside Debian's BIRD and GoBGP.
    cargo bench --quiet --locked --package ironlb-bench --bench routers || kept=1
else
    echo 'not root: neither answers to ARP nor BGP and BFD beside other routers are measured'
fi

printf '\n%-72s %24s  %-16s %s\n' what measured bar ''
awk -F '\t' '{ printf "%-72s %24s  %-16s %s\n", $1, $2, $3, $4 } $4 != "ok" { over++ } END { exit over > 0 }' \
    "$IRONLB_BENCH_TABLE" || kept=1
exit "$kept"
