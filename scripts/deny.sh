#!/usr/bin/env bash
# deny.sh: licences, bans and sources of the dependencies, by deny.toml. cargo-deny is built when missing (minutes), which
# is why this is not part of `make check`.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.20.2
tools=${XDG_CACHE_HOME:-$HOME/.cache}/ironlb/tools
export PATH="$tools/bin:$PATH"
if ! command -v cargo-deny >/dev/null; then
    echo "  building cargo-deny $version (once)"
    cargo install --quiet --locked --root "$tools" "cargo-deny@$version"
fi
cargo deny --locked check bans licenses sources
