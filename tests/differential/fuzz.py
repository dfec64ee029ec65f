#!/usr/bin/env python3
"""Random valid modules on every engine, compared: fuzz.py DIFFERENTIAL [--seconds N] [--seed S] [--keep DIR]

`wasm-tools smith` makes a module out of each seed: without imports, with NaNs made canonical, and with a counter that ends its
loops. DIFFERENTIAL, the program of differential.cc, runs them on every engine. A module on which two engines differ, or which ends
the process, is kept in DIR with a line that says how; then the exit status is 1. The same seed gives the same modules in the same order.
"""
import argparse
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BATCH = 25
# What all engines claim: WebAssembly 2.0, less what one of them is not asked for.
SHAPE = ["--ensure-termination", "--fuel", "2000", "--canonicalize-nans", "true", "--max-imports", "0", "--export-everything", "true",
         "--max-memories", "1", "--max-memory32-bytes", str(32 << 20), "--memory64-enabled", "false", "--threads-enabled", "false",
         "--gc-enabled", "false", "--exceptions-enabled", "false", "--relaxed-simd-enabled", "false", "--tail-call-enabled", "false",
         "--custom-page-sizes-enabled", "false", "--wide-arithmetic-enabled", "false", "--extended-const-enabled", "false",
         "--shared-everything-threads-enabled", "false", "--custom-descriptors-enabled", "false",
         "--compact-imports-enabled", "false", "--max-tables", "4", "--max-table-elements", "10000"]


def tool():
    beside = ROOT / "build/tools/wasm-tools"
    return str(beside) if beside.exists() else shutil.which("wasm-tools")


def make_modules(smith, generator, folder, number):
    files = []
    for _ in range(BATCH):
        seed = generator.randbytes(generator.choice((200, 500, 1500, 4000)))
        file = folder / f"{number + len(files)}.wasm"
        made = subprocess.run([smith, "smith", *SHAPE, "-o", file], input=seed, capture_output=True)
        if made.returncode == 0:
            files.append(file)
        elif made.returncode != 2:  # 2: that seed makes no module
            sys.exit(f"{smith} smith: {made.stderr.decode()}")
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("differential", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--batches", type=int, help="so many instead of seconds")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=pathlib.Path, default=ROOT / "build/differential")
    options = parser.parse_args()
    smith = tool()
    if not smith:
        print("skipped: wasm-tools is not installed")
        return 77
    seed = options.seed if options.seed is not None else int.from_bytes(os.urandom(4))
    print(f"seed {seed}", flush=True)
    generator = random.Random(seed)
    end = time.monotonic() + options.seconds
    total, findings, batch = 0, [], 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        while batch < options.batches if options.batches else time.monotonic() < end:
            files = make_modules(smith, generator, folder, total)
            ran = subprocess.run([options.differential, *files], capture_output=True, text=True, errors="replace")
            found = [line for line in ran.stdout.splitlines() if line.startswith(f"{folder}/")]
            if ran.returncode not in (0, 1) or (ran.returncode == 1 and not found):
                last = [line for line in ran.stderr.splitlines() if line.startswith(f"{folder}/")][-1:]
                found += [f"{file}: the process ended with {ran.returncode}: {ran.stderr[-2000:]}" for file in last]
                if not last:
                    sys.exit(ran.stderr)
            for line in found:
                file = pathlib.Path(line.split(": ", 1)[0])
                options.keep.mkdir(parents=True, exist_ok=True)
                kept = options.keep / f"{seed}-{file.name}"
                shutil.copy(file, kept)
                findings.append(line.replace(str(file), str(kept)))
                print(findings[-1], flush=True)
            total += len(files)
            batch += 1
            for file in files:
                file.unlink()
    print(f"{total} modules, {len(findings)} differences, seed {seed}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
