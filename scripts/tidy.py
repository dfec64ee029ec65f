"""Runs clang-tidy over the sources, several at a time, and remembers which ones were clean.

A file is clean until its text, a header of ours that it reaches, .clang-tidy, its compile command or clang-tidy changes.
Tests and benches are left out unless named. Prints `tidy ok <file>` or `tidy FAILED <file>` with the findings.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
# A precompiled header would hide an include that is missing.
PRECOMPILED = re.compile(r"-Winvalid-pch|-Xclang -include-pch -Xclang \S+|-Xclang -include -Xclang \S*cmake_pch\S*|-fpch-instantiate-templates|"
                         r"-Xclang -fno-pch-timestamp")
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def reached(path, seen):
    """The text of `path` and of each header of ours that it includes, directly or not."""
    if path in seen or not path.is_file():
        return
    seen[path] = path.read_text(errors="replace")
    for name in INCLUDE.findall(seen[path]):
        reached(ROOT / "src" / name, seen)


def key_of(entry, common):
    texts = {}
    reached(pathlib.Path(entry["file"]), texts)
    digest = hashlib.sha256(common + entry["command"].encode())
    for path in sorted(texts):
        digest.update(str(path).encode() + b"\0" + texts[path].encode())
    return digest.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--cache", required=True, type=pathlib.Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("files", nargs="*")
    options = parser.parse_args()
    wanted = {pathlib.Path(f).resolve() for f in options.files}
    database = json.loads((ROOT / options.build / "compile_commands.json").read_text())
    for entry in database:
        entry["command"] = PRECOMPILED.sub("", entry["command"])
    entries = {}
    for entry in database:
        path = pathlib.Path(entry["file"])
        if wanted:
            chosen = path in wanted
        else:
            chosen = path.is_relative_to(ROOT / "src") and not re.search(r"_(test|bench)\.cc$", path.name)
        if chosen:
            entries[path] = entry
    for path in wanted - entries.keys():
        print(f"tidy FAILED {path}: {options.build} compiles no such file")
    tool = ROOT / "build/tools/clang-tidy/bin/clang-tidy"
    common = (ROOT / ".clang-tidy").read_bytes() + subprocess.check_output([tool, "--version"])
    options.cache.mkdir(parents=True, exist_ok=True)
    (options.cache / "compile_commands.json").write_text(json.dumps(database))

    def check(path):
        name, stamp = path.relative_to(ROOT), options.cache / key_of(entries[path], common)
        if stamp.exists():
            return f"tidy ok {name} (unchanged)", True
        begin = time.monotonic()
        run = subprocess.run([tool, "--quiet", "-p", str(options.cache), str(path)], cwd=ROOT, text=True, errors="replace",
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        seconds = time.monotonic() - begin
        if run.returncode == 0:
            stamp.touch()
            return f"tidy ok {name} ({seconds:.1f} s)", True
        return f"{run.stdout}tidy FAILED {name} ({seconds:.1f} s)", False

    clean = not (wanted - entries.keys())
    # The largest files first, so that the last one does not run alone.
    order = sorted(entries, key=lambda path: -path.stat().st_size)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for line, ok in pool.map(check, order):
            print(line, flush=True)
            clean = clean and ok
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
