#!/usr/bin/env bash
# Builds wasmtime's C API: OUTDIR/lib/libwasmtime.a and OUTDIR/include. Does nothing when Cargo.lock and Cargo.toml are
# those that OUTDIR was built from. Needs cargo 1.93 or newer (rustup's, or Debian's rustc-web and cargo-web) and crates.io.
#
#   third_party/wasmtime/build.sh build/wasmtime
#   third_party/wasmtime/build.sh --check build/wasmtime     only says by its exit status whether it is up to date
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then check=true && shift; fi
[ $# -eq 1 ] || { echo "usage: $0 [--check] OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
stamp=$(cat "$here/Cargo.toml" "$here/Cargo.lock" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && [ -f "$out/lib/libwasmtime.a" ]; then
  $check || echo "wasmtime: up to date in $out"
  exit 0
fi
if $check; then exit 1; fi

cargo=${CARGO:-}
for candidate in "$HOME/.cargo/bin/cargo" cargo cargo-web; do
  [ -n "$cargo" ] && break
  command -v "$candidate" > /dev/null && cargo=$candidate
done
[ -n "$cargo" ] || { echo "wasmtime: no cargo found: install rustc-web and cargo-web, or rustup" >&2; exit 1; }

# Sources are copied so that nothing is written into the tree.
target=${CARGO_TARGET_DIR:-$(dirname "$out")/cargo}
work=$target/seam-wasmtime
mkdir -p "$work/src"
cp "$here/Cargo.toml" "$here/Cargo.lock" "$work/"
cp "$here/src/lib.rs" "$work/src/"

echo "wasmtime: building its C API with $("$cargo" --version); about 5 minutes on two cores, once"
messages=$(mktemp)
trap 'rm -f "$messages"' EXIT
CARGO_TARGET_DIR=$target "$cargo" build --release --locked --manifest-path "$work/Cargo.toml" \
  --message-format=json-render-diagnostics > "$messages"
headers=$(grep '"reason":"build-script-executed"' "$messages" | grep 'wasmtime-c-api-impl' |
          sed -n 's/.*"out_dir":"\([^"]*\)".*/\1/p' | tail -1)/include
[ -f "$headers/wasmtime.h" ] || { echo "wasmtime: no headers in $headers" >&2; exit 1; }

rm -rf "$out/lib" "$out/include" "$out/stamp"
mkdir -p "$out/lib"
cp "$target/release/libwasmtime_for_seam.a" "$out/lib/libwasmtime.a"
cp -r "$headers" "$out/include"
echo "$stamp" > "$out/stamp"
echo "wasmtime: built in $out"
