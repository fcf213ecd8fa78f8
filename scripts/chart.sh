#!/usr/bin/env bash
# chart.sh [--required]: lints the chart and renders it in the ways people install it. Uses Helm from PATH or the lab's own;
# without one it says so and passes, with --required it fails.
set -euo pipefail
cd "$(dirname "$0")/.."
helm=$(command -v helm || true)
if [[ -z $helm ]]; then
    for built in "${XDG_CACHE_HOME:-$HOME/.cache}"/ironlb/bin/* "${IRONLB_LAB_BIN:-}"; do
        [[ ! -x $built/helm ]] || helm=$built/helm
    done
fi
if [[ -z $helm ]]; then
    [[ ${1:-} != --required ]] || { echo 'no helm in PATH and none built (make lab-bin brings one)' >&2 && exit 1; }
    # `make test` builds one and looks again.
    echo '  skipped: no helm in PATH and none built yet (make lab-bin brings one)'
    exit 0
fi

# Prints the lines of roles that hold an asterisk anywhere but in a comment, however the rule is written. A role that names
# everything explains nothing, and grants what the next version of Kubernetes brings.
wildcards() {
    awk '/^---/ { role = 0 }
         /^kind: *"?(Cluster)?Role"? *(#.*)?$/ { role = 1 }
         { line = $0; sub(/(^|[ \t])#.*/, "", line); if (line ~ /[*]/) { held[++count] = $0 } }
         /^---/ { count = 0 }
         role { for (i = 1; i <= count; i++) print held[i]; count = 0 }'
}
# The check is held to what it must find before its silence counts.
for rule in 'verbs: ["*"]' '- "*"' "- '*'" '- services/*' 'nonResourceURLs: [/metrics/*]'; do
    for role in $'kind: Role\nrules:\n  '"$rule" $'rules:\n  '"$rule"$'\nkind: ClusterRole'; do
        [[ -n $(printf 'kind: Service\n---\n%s\n' "$role" | wildcards) ]] || { echo "not found: $role" >&2 && exit 1; }
    done
done
[[ -z $(printf 'kind: Role\nrules: # not *\n---\nkind: RoleBinding\na: "*"\n' | wildcards) ]] || { echo 'found where there is none' >&2 && exit 1; }

"$helm" lint --strict --quiet charts/ironlb
render() { "$helm" template ironlb charts/ironlb --namespace ironlb-system "$@"; }
for values in '' charts/ironlb/ci/*.yaml; do
    rendered=$(render ${values:+--values "$values"})
    roles=$(grep -cE '^kind: (Cluster)?Role$' <<<"$rendered")
    ((roles >= 4)) || { echo "only $roles roles were looked at" >&2 && exit 1; }
    if wildcards <<<"$rendered" | grep .; then
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
