#!/usr/bin/env bash
# Puts clang-tidy 23 into OUTDIR/clang-tidy: since version 21 it does not walk through the libraries' headers, and takes a third of
# the time of Debian 12's. Needs python3 with venv, and PyPI, which has it built for x86-64 and ARM.
#
#   third_party/clang-tidy/install.sh build/tools
#   third_party/clang-tidy/install.sh --check build/tools     only says by its exit status whether it is up to date
set -euo pipefail

check=false
if [ "${1:-}" = --check ]; then check=true && shift; fi
[ $# -eq 1 ] || { echo "usage: $0 [--check] OUTDIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
out=$(realpath -m "$1")/clang-tidy
stamp=$(sha256sum < "$here/requirements.txt" | cut -d' ' -f1)
if [ "$(cat "$out/stamp" 2>/dev/null)" = "$stamp" ] && [ -x "$out/bin/clang-tidy" ]; then
  $check || echo "clang-tidy: up to date in $out"
  exit 0
fi
if $check; then exit 1; fi

rm -rf "$out"
python3 -m venv "$out"
"$out/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$here/requirements.txt"
echo "$stamp" > "$out/stamp"
echo "clang-tidy: $("$out/bin/clang-tidy" --version | grep -o 'version.*') in $out"
