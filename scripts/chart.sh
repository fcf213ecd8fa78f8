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
render() { "$helm" template ironlb charts/ironlb --namespace ironlb-system "$@"; }
for values in '' charts/ironlb/ci/*.yaml; do
    rendered=$(render ${values:+--values "$values"})
    # A role that names everything explains nothing, and grants what the next version of Kubernetes brings.
    if grep -nE '(apiGroups|resources|verbs|resourceNames):.*[*]' <<<"$rendered"; then
        echo 'a role holds a wildcard' >&2
        exit 1
    fi
done

# A value that is misspelt or out of range is refused before anything is installed.
for wrong in controler.replicas=1 serviceSelection=some speaker.membership=guess image.pullPolicy=Sometimes \
    loadBalancerClass=Not/a/class controller.metricsAddress=7472 logFormat=xml; do
    if render --set "$wrong" >/dev/null 2>&1; then
        echo "the schema accepts $wrong" >&2
        exit 1
    fi
done
