#!/usr/bin/env bash
# fuzz.sh SECONDS [TARGET...]: runs each fuzz target for so long, led by coverage. What it finds lies in fuzz/artifacts and fails the run.
# libFuzzer is built into each target and the marks are the stable compiler's own, so no other toolchain is needed.
set -euo pipefail
cd "$(dirname "$0")/../fuzz"
seconds=$1
shift
host=$(rustc -vV | sed -n 's/^host: //p')
# The marks of LLVM's SanitizerCoverage; one codegen unit, so that each place is marked once. Host programs such as build scripts must
# not have them, which is why the target is named.
marks='-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters'
marks+=' -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 --cfg fuzzing'
export CARGO_TARGET_DIR=${IRONLB_FUZZ_TARGET_DIR:-$PWD/target}
CARGO_BUILD_RUSTFLAGS=$marks cargo build --quiet --locked --release --target "$host" --bins
if (($# == 0)); then set -- $(sed -n 's/^name = "\([a-z]*_[a-z]*\)"$/\1/p' Cargo.toml); fi
for target; do
    mkdir -p "artifacts/$target" "corpus/$target"
    echo "$target: $seconds s"
    "$CARGO_TARGET_DIR/$host/release/$target" -max_total_time="$seconds" -max_len=4096 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target" 2> >(tail -n 12 >&2)
done
