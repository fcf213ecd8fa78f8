#!/usr/bin/env bash
# part.sh TITLE COMMAND...: runs COMMAND under a heading and says how long it took. With IRONLB_PARTS set to a file, the
# line goes there as well, so that a caller of many parts can end with a table.
set -uo pipefail
title=$1
shift
bold='' red='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' red=$'\e[31m' plain=$'\e[0m'; fi

printf '%s==> %s%s\n' "$bold" "$title" "$plain"
begin=$EPOCHREALTIME
"$@"
status=$?
took=$(awk -v a="$begin" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f s", b - a }')
if ((status == 0)); then
    printf '<== %s: %s\n' "$title" "$took"
    outcome=ok
else
    printf '%s<== %s: FAILED after %s (exit %d)%s\n' "$red" "$title" "$took" "$status" "$plain"
    outcome=FAILED
fi
[[ -z ${IRONLB_PARTS:-} ]] || printf '%10s  %-6s  %s\n' "$took" "$outcome" "$title" >>"$IRONLB_PARTS"
exit "$status"
