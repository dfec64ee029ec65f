#!/bin/sh
# build.sh EXAMPLE OUT COMPILE_SH SEAM_RS BRIDGE_RS CRATES_TAR: makes the libraries for the toolchain in SEAM_TOOLCHAIN where
# src/runtimes/rust/rust_compiler.cc looks for them, lib/seam/KEY, and with them the module OUT of the source EXAMPLE.
set -eu
example=$1 out=$2
shift 2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/harness" "$work/libraries" "$work/module"
cp "$@" "$work/harness/"
export SEAM_HARNESS="$work/harness"

digest=$(cat "$@" | sha256sum | cut -d' ' -f1)
key=$({ "$SEAM_TOOLCHAIN/bin/rustc" -vV && printf '%s\n%s\n' "$SEAM_TARGET" "$digest"; } | sha256sum | cut -d' ' -f1)
kept=$SEAM_TOOLCHAIN/lib/seam/$key
if [ ! -e "$kept/sums" ]; then
  SEAM_FOLDER="$work/libraries" sh "$SEAM_HARNESS/compile.sh" libraries
  (cd "$work/libraries" && sha256sum lib*.rlib >sums)
  mkdir -p "$SEAM_TOOLCHAIN/lib/seam"
  find "$SEAM_TOOLCHAIN/lib/seam" -mindepth 1 -maxdepth 1 -exec rm -rf {} +
  mv "$work/libraries" "$kept.new" && mv "$kept.new" "$kept"
  chmod -R a+rX "$SEAM_TOOLCHAIN/lib/seam"
fi
if ! SEAM_LIBRARIES="$kept" SEAM_FOLDER="$work/module" sh "$SEAM_HARNESS/compile.sh" function <"$example"; then
  cat "$work"/module/* >&2
  exit 1
fi
cp "$work/module/module" "$out"
