#!/usr/bin/env bash
# Unpacks a Rust toolchain for WebAssembly out of Debian 12's packages into OUTDIR: bin/rustc, lib/rustlib/wasm32-wasi, and
# the sources of serde_json in crates/. Installs nothing: Debian's rustc and the rustc-web that builds wasmtime cannot both
# be installed. Does nothing when OUTDIR holds these versions. Needs apt's lists and no root.
#
#   third_party/rust/unpack.sh build/lib/seam/rust
#   third_party/rust/unpack.sh --check build/lib/seam/rust     only says by its exit status whether it is there
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then check=true && shift; fi
[ $# -eq 1 ] || { echo "usage: $0 [--check] OUTDIR" >&2; exit 2; }
out=$(realpath -m "$1")
stamp=$(sha256sum <"${BASH_SOURCE[0]}")
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ]; then exit 0; fi
if $check; then exit 1; fi

packages=(rustc libstd-rust-1.63 libstd-rust-dev-wasm32 libllvm14
          librust-serde-json-dev librust-serde-dev librust-itoa-dev librust-ryu-dev)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
(cd "$work" && apt-get download -q "${packages[@]}") ||
  { echo "rust: apt cannot download ${packages[*]}: run apt-get update, or use Debian 12" >&2; exit 1; }
for package in "$work"/*.deb; do dpkg-deb -x "$package" "$work/root"; done

usr=$work/root/usr
rm -rf "$usr/lib/rustlib/wasm32-unknown-unknown" "$work/new"
mkdir -p "$work/new/bin" "$work/new/lib/rustlib" "$work/new/crates"
mv "$usr/lib/rustlib/wasm32-wasi" "$work/new/lib/rustlib/"
mv "$usr/lib/x86_64-linux-gnu"/*.so* "$work/new/lib/"
mv "$usr/bin/rustc" "$work/new/lib/rustc"
mv "$usr/share/cargo/registry"/* "$work/new/crates/"
for package in rustc libllvm14 librust-serde-json-dev librust-serde-dev librust-itoa-dev librust-ryu-dev; do
  install -D -m 644 "$usr/share/doc/$package/copyright" "$work/new/doc/$package.copyright"
done
cat >"$work/new/bin/rustc" <<'EOF'
#!/bin/sh
# Its libraries lie beside it and nowhere that the loader would look.
here=$(dirname "$0")
LD_LIBRARY_PATH=$here/../lib exec "$here/../lib/rustc" "$@"
EOF
chmod 755 "$work/new/bin/rustc"
"$work/new/bin/rustc" --version >&2
echo "$stamp" >"$work/new/stamp"
rm -rf "$out"
mkdir -p "$(dirname "$out")"
cp -r "$work/new" "$out"
chmod -R a+rX "$out"
echo "rust: unpacked in $out" >&2
