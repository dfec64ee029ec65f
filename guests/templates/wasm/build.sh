#!/bin/sh
# Builds function.wasm. Needs, on Debian 12: apt install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32
set -e
cd "$(dirname "$0")"
exec "${CC:-clang-19}" --target=wasm32-wasi -mexec-model=reactor -fuse-ld="$(command -v wasm-ld-19 || command -v wasm-ld)" \
  -O2 -Wall -Wextra -o function.wasm function.c json_string.c
