#!/usr/bin/env bash
# Builds what is written on the engines' own APIs for wasm_bench: OUTDIR/libwasmi_direct.so (Rust) and OUTDIR/wazero_direct (a
# program in Go: two of Go's runtimes do not live in one process). Leaves out what has no compiler here, and says so.
#
#   bench/wasm/build_direct.sh build/bench/direct
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
root=$(realpath "$here/../..")
out=$(realpath -m "$1")
mkdir -p "$out"

cargo=${CARGO:-}
for candidate in "$HOME/.cargo/bin/cargo" cargo cargo-web; do
  [ -n "$cargo" ] && break
  command -v "$candidate" >/dev/null && cargo=$candidate
done
if [ -n "$cargo" ]; then
  CARGO_TARGET_DIR=$root/build/cargo "$cargo" build --release --locked --manifest-path "$here/wasmi/Cargo.toml"
  cp "$root/build/cargo/release/libwasmi_direct.so" "$out/"
else
  echo "left out: wasmi's own API: no cargo"
fi

PATH=$root/build/go/bin:$PATH
if command -v go >/dev/null; then
  (cd "$here/wazero" && GOFLAGS=-mod=readonly go build -o "$out/wazero_direct" .)
else
  echo "left out: wazero's own API: no go"
fi
