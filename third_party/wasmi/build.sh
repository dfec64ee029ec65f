#!/usr/bin/env bash
# Builds wasmi as OUTDIR/libseam_wasmi.so: the crate that Cargo.toml names, as Cargo.lock has it, with wasmi.patch applied, and
# src/ around it. Does nothing when what is in this folder is what OUTDIR was built from. Needs cargo 1.90 or newer (rustup's,
# or Debian's rustc-web and cargo-web), patch, and crates.io.
#
#   third_party/wasmi/build.sh build/lib/seam/engines
#   third_party/wasmi/build.sh --check build/lib/seam/engines     only says by its exit status whether it is up to date
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then check=true && shift; fi
[ $# -eq 1 ] || { echo "usage: $0 [--check] OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
stamp=$(cat "$here"/build.sh "$here"/Cargo.toml "$here"/Cargo.lock "$here"/wasmi.patch "$here"/src/*.rs |
        sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/wasmi.stamp" 2>/dev/null)" = "$stamp" ] && [ -f "$out/libseam_wasmi.so" ]; then
  $check || echo "wasmi: up to date in $out"
  exit 0
fi
if $check; then exit 1; fi

cargo=${CARGO:-}
for candidate in "$HOME/.cargo/bin/cargo" cargo cargo-web; do
  [ -n "$cargo" ] && break
  command -v "$candidate" > /dev/null && cargo=$candidate
done
command -v patch > /dev/null || { echo "wasmi: no patch found: install the package patch" >&2; exit 1; }
[ -n "$cargo" ] || { echo "wasmi: no cargo found: install rustc-web and cargo-web, or rustup" >&2; exit 1; }

echo "wasmi: building it with $("$cargo" --version); about 2 minutes on two cores, once"
# Sources are copied so that nothing is written into the tree, or into what cargo fetched.
target=${CARGO_TARGET_DIR:-$(realpath "$here/../..")/build/cargo}
work=$target/seam-wasmi
rm -rf "$work"
mkdir -p "$work/seam/src" "$out"
cp "$here/Cargo.toml" "$here/Cargo.lock" "$work/seam/"
cp "$here"/src/*.rs "$work/seam/src/"
# What Cargo.lock does not name with this checksum is not taken.
fetched=$("$cargo" metadata --locked --format-version 1 --manifest-path "$work/seam/Cargo.toml" |
          grep -oE '"manifest_path":"[^"]*/wasmi(-[0-9.]+)?/Cargo.toml"' | cut -d'"' -f4)
cp -r "$(dirname "$fetched")" "$work/wasmi"
patch -d "$work/wasmi" -p1 -s --fuzz=0 < "$here/wasmi.patch" || {
  echo "wasmi: wasmi.patch does not fit $(basename "$(dirname "$fetched")"): make it anew for that version (ADR 21)" >&2
  exit 1
}
printf '\n[patch.crates-io]\nwasmi = { path = "../wasmi" }\n' >> "$work/seam/Cargo.toml"
sed -i '/^name = "wasmi"$/,/^$/{/^source = /d; /^checksum = /d}' "$work/seam/Cargo.lock"
# The loader reads packed relocations (glibc 2.36) in a few microseconds, and some 4,700 unpacked ones in many more.
CARGO_TARGET_DIR=$target "$cargo" rustc --release --locked --manifest-path "$work/seam/Cargo.toml" -- \
  -C link-arg=-Wl,-z,pack-relative-relocs

# A program may have the old one open.
cp "$target/release/libseam_wasmi.so" "$out/libseam_wasmi.so.new"
mv "$out/libseam_wasmi.so.new" "$out/libseam_wasmi.so"
echo "$stamp" > "$out/wasmi.stamp"
echo "wasmi: built in $out"
