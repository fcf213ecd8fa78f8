#!/usr/bin/env bash
# images.sh PROFILE DIRECTORY IMAGE...: builds the static binaries with cargo's PROFILE and packs each IMAGE (ironlb, backend,
# pause) as DIRECTORY/IMAGE.tar, an OCI archive, without a container daemon.
set -euo pipefail
cd "$(dirname "$0")/.."
profile=$1 directory=$2
shift 2
images=("$@")

machine=$(uname -m)
musl=$machine-unknown-linux-musl
gnu=$machine-unknown-linux-gnu
target_directory=$(cargo metadata --no-deps --format-version 1 --locked \
    | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
mkdir -p "$directory" "$target_directory"

# Two clones may share one target directory; what one has built must not be packed by the other.
exec 9>"$target_directory/.ironlb-images.lock"
flock 9

packages=()
[[ " ${images[*]} " != *' ironlb '* ]] || packages+=(ironlb)
[[ " ${images[*]} " != *' backend '* && " ${images[*]} " != *' pause '* ]] || packages+=(ironlb-backend)

if [[ -d $(rustc --print sysroot)/lib/rustlib/$musl/lib ]] && command -v musl-gcc >/dev/null; then
    target=$musl
    # ring's C and assembly are compiled against musl's headers.
    export "CC_${musl//-/_}=musl-gcc"
    cargo build --locked --profile "$profile" --target "$target" "${packages[@]/#/--package=}"
else
    # No musl here: glibc, linked statically. Asked for by `cargo rustc` for the binary alone, not by RUSTFLAGS, which would
    # build every dependency a second time.
    target=$gnu
    for package in "${packages[@]}"; do
        cargo rustc --locked --profile "$profile" --target "$target" --package "$package" -- -C target-feature=+crt-static
    done
fi
built=$target_directory/$target/$profile

# What is shipped is to be small; what the lab runs once is to be there soon (20 s earlier for a binary with debug information).
level=1
[[ $profile != release ]] || level=9

pack() {
    local name=$1 reference=$2 binary=$3
    shift 3
    # Written beside and moved, so that a reader never sees half an archive.
    scripts/oci-image.py --level "$level" "$directory/.$name.tar.new" "$reference" "$binary" "$@"
    mv "$directory/.$name.tar.new" "$directory/$name.tar"
    printf '  %-22s %-34s %5.1f MiB\n' "$directory/$name.tar" "$reference" \
        "$(stat -c %s "$directory/$name.tar" | awk '{ print $1 / 1048576 }')"
}

for image in "${images[@]}"; do
    case $image in
    ironlb)
        pack ironlb "ghcr.io/ironlb/ironlb:$version" "$built/ironlb" \
            --user 65532:65532 --label "org.opencontainers.image.version=$version" \
            --label org.opencontainers.image.licenses=Apache-2.0 --label org.opencontainers.image.title=ironlb
        ;;
    backend) pack backend localhost/ironlb/backend:1 "$built/ironlb-backend" --cmd serve ;;
    pause) pack pause localhost/lab/pause:1 "$built/ironlb-backend" --cmd pause ;;
    *) echo "no such image: $image" >&2 && exit 1 ;;
    esac
done

# The promise for what is shipped (README): at most 20 MiB.
if [[ $profile == release && $(stat -c %s "$directory/ironlb.tar") -gt $((20 * 1024 * 1024)) ]]; then
    echo "$directory/ironlb.tar is larger than 20 MiB" >&2
    exit 1
fi
