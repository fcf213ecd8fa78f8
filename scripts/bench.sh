#!/usr/bin/env bash
# bench.sh: runs every benchmark there is. Each prints its numbers beside the bar it is held to.
set -euo pipefail
cd "$(dirname "$0")/.."
found=0
# Benchmarks that live beside what they measure: those that need sockets make their own network namespace.
for example in crates/*/examples/*_latency.rs crates/*/examples/timing.rs; do
    [[ -e $example ]] || continue
    found=1
    crate=$(basename "$(dirname "$(dirname "$example")")")
    cargo run --quiet --locked --release --package "ironlb-$crate" --example "$(basename "$example" .rs)"
done
if [[ -e tests/bench/Cargo.toml ]]; then
    found=1
    cargo bench --locked --package ironlb-bench
fi
((found)) || { echo 'there is no benchmark yet' >&2 && exit 1; }
