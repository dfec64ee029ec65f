#!/usr/bin/env bash
# fuzz_one.sh <program> <seconds>: one run of a libFuzzer target over its kept corpus in fuzz/corpus/<name>. New inputs are
# kept in build/fuzz-corpus/<name>, inputs that crash in build/fuzz-crashes/<name>-*: copy what is worth keeping into the
# tree. With 0 seconds the corpus alone is run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$1 seconds=$2
name=$(basename "$program" _fuzz)
mkdir -p "build/fuzz-corpus/$name" build/fuzz-crashes
corpora=("build/fuzz-corpus/$name")
[ ! -d "fuzz/corpus/$name" ] || corpora+=("fuzz/corpus/$name")
limit=(-max_total_time="$seconds")
[ "$seconds" -gt 0 ] || limit=(-runs=0)
exec "$program" "${limit[@]}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="build/fuzz-crashes/$name-" \
  "${corpora[@]}"
