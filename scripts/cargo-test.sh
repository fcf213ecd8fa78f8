#!/usr/bin/env bash
# cargo-test.sh ARGUMENTS...: `cargo test ARGUMENTS` without stopping at the first crate that fails, closed by one line
# that adds up cargo's own closing lines.
set -uo pipefail
log=$(mktemp)
trap 'rm -f "$log"' EXIT

cargo test --locked --no-fail-fast "$@" 2>&1 | tee "$log"
status=${PIPESTATUS[0]}

# "test result: ok. 12 passed; 0 failed; 0 ignored; ..."
awk '/^test result: / {
        for (i = 2; i <= NF; i++) {
            if ($i ~ /^passed/) passed += $(i - 1)
            if ($i ~ /^failed/) failed += $(i - 1)
            if ($i ~ /^ignored/) ignored += $(i - 1)
        }
        lines++
     }
     END {
        printf "%d passed, %d failed, %d ignored in %d runs\n", passed, failed, ignored, lines
        if (lines == 0 || ignored > 0) exit 1
     }' "$log"
counted=$?
if ((status == 0 && counted != 0)); then
    echo 'no test ran, or one is marked ignored: neither counts as passing' >&2
    exit 1
fi
exit "$status"
