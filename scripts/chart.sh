#!/usr/bin/env bash
# chart.sh: lints the chart and renders it in the ways people install it. Uses Helm from PATH or the lab's own.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=$(command -v helm || true)
if [[ -z $helm ]]; then
    for built in "${IRONLB_LAB_BIN:-}" "${XDG_CACHE_HOME:-$HOME/.cache}"/ironlb/bin/*; do
        [[ ! -x $built/helm ]] || helm=$built/helm
    done
fi
if [[ -z $helm ]]; then
    # The lab installs the chart with its own Helm, so a broken chart is found there at the latest.
    echo '  skipped: no helm in PATH and none built yet (make lab-bin brings one)'
    exit 0
fi
"$helm" lint --strict --quiet charts/ironlb
for values in '' charts/ironlb/ci/*.yaml; do
    [[ -z $values || -f $values ]] || continue
    "$helm" template ironlb charts/ironlb --namespace ironlb-system ${values:+--values "$values"} >/dev/null
done
