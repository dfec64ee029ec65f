#!/bin/sh
# What runs in the sandbox in which Rust is compiled. One word says what to do:
#
#   version     file version: what the compiler says of itself
#   libraries   files lib*.rlib: serde_json, what it needs, and seam.rs, for the functions of this toolchain
#   function    reads a function's source up to the end; files module (WebAssembly), or function.json, bridge.json and
#               linker.txt: what a step that failed has said
#
# SEAM_TOOLCHAIN is a folder with bin/rustc and lib/rustlib/$SEAM_TARGET, SEAM_LINKER a wasm-ld or rust-lld, SEAM_HARNESS
# the folder of this file, SEAM_LIBRARIES a folder with the second word's files. Descriptor 3 gives the source and takes the
# answer, "file <name> <size>\n" and the bytes, again and again, and "end\n". With SEAM_FOLDER the source is standard
# input and the files go there instead: so the build makes what it ships.
set -u
umask 022
work=$(mktemp -d /tmp/seam-rust.XXXXXX) || exit 70
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 70

give() {
  if [ -n "${SEAM_FOLDER:-}" ]; then
    cp "$2" "$SEAM_FOLDER/$1" || exit 70
  else
    printf 'file %s %s\n' "$1" "$(wc -c <"$2")" >&3 && cat "$2" >&3 || exit 70
  fi
}

finish() {
  [ -n "${SEAM_FOLDER:-}" ] || printf 'end\n' >&3
  exit "$1"
}

# Function code does not unwind: a panic ends the call. Paths in messages are those of the words here.
rustc() {
  "$SEAM_TOOLCHAIN/bin/rustc" --sysroot "$SEAM_TOOLCHAIN" --target "$SEAM_TARGET" -C panic=abort -C debuginfo=0 \
    -C codegen-units=1 "$@"
}

library() {
  name=$1
  edition=$2
  shift 2
  rustc --edition "$edition" --crate-name "$name" --crate-type rlib --cap-lints allow -L . -o "lib$name.rlib" "$@" ||
    exit 71
}

case ${1:-} in
  version)
    "$SEAM_TOOLCHAIN/bin/rustc" -vV >version || exit 71
    give version version
    finish 0
    ;;
  libraries)
    # The crates' own build scripts are not run; what they would set for any compiler from 1.63 on and a processor of 32
    # bits is said here. The features: numbers are the nearest of their type, and Seam bounds nesting (512).
    tar -x -f "$SEAM_HARNESS/crates.tar" || exit 70
    library itoa 2018 -C opt-level=3 itoa/src/lib.rs
    library ryu 2015 -C opt-level=3 ryu/src/lib.rs
    library serde 2015 -C opt-level=1 --cfg 'feature="std"' serde/src/lib.rs
    library serde_json 2018 -C opt-level=3 --cfg 'feature="std"' --cfg 'feature="float_roundtrip"' \
      --cfg 'feature="unbounded_depth"' --cfg limb_width_32 --extern itoa=libitoa.rlib --extern ryu=libryu.rlib \
      --extern serde=libserde.rlib serde_json/src/lib.rs
    library seam 2021 -C opt-level=3 --extern serde=libserde.rlib --extern serde_json=libserde_json.rlib \
      "$SEAM_HARNESS/seam.rs"
    for file in lib*.rlib; do give "$file" "$file"; done
    finish 0
    ;;
  function) ;;
  *) exit 64 ;;
esac

if [ -n "${SEAM_FOLDER:-}" ]; then cat >function.rs; else cat <&3 >function.rs; fi
cp "$SEAM_HARNESS/bridge.rs" bridge.rs || exit 70

rustc --edition 2021 --crate-name function --crate-type rlib --cap-lints warn --error-format json -C opt-level=3 \
  -L "$SEAM_LIBRARIES" --extern serde="$SEAM_LIBRARIES/libserde.rlib" \
  --extern serde_json="$SEAM_LIBRARIES/libserde_json.rlib" -o libfunction.rlib function.rs 2>function.json || {
  status=$?
  give function.json function.json
  finish $status
}
rustc --edition 2021 --crate-name bridge --crate-type staticlib --cap-lints allow --error-format json -C opt-level=3 \
  -L "$SEAM_LIBRARIES" --extern seam="$SEAM_LIBRARIES/libseam.rlib" --extern function=libfunction.rlib \
  -o libbridge.a bridge.rs 2>bridge.json || {
  status=$?
  give bridge.json bridge.json
  finish $status
}

# Names stay, for backtraces. The reactor's _initialize runs constructors once; without it each export would.
own=$SEAM_TOOLCHAIN/lib/rustlib/$SEAM_TARGET/lib/self-contained
flavor=
case $SEAM_LINKER in */rust-lld) flavor='-flavor wasm' ;; esac
# shellcheck disable=SC2086
"$SEAM_LINKER" $flavor --no-entry --export=alloc --export=handle --export=_initialize -z stack-size=1048576 \
  --gc-sections --strip-debug "$own/crt1-reactor.o" libbridge.a -L "$own" -lc -o module 2>linker.txt || {
  status=$?
  give linker.txt linker.txt
  finish $status
}
give module module
finish 0
