#!/usr/bin/env bash
# with-lab.sh COMMAND...: runs COMMAND with what the lab needs to know in its environment.
#
#   IRONLB_LAB_BIN   folder with controlplane, containerd, helm ... (tests/controlplane/build.sh; at once when already built)
#   IRONLB_IMAGES    folder with ironlb.tar, backend.tar, pause.tar (scripts/images.sh)
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
export IRONLB_LAB_BIN=${IRONLB_LAB_BIN:-$("$here/tests/controlplane/build.sh")}
export IRONLB_IMAGES=${IRONLB_IMAGES:-$here/image/lab}
exec "$@"
