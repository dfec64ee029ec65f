#!/usr/bin/env python3
"""Builds the programs of this folder by the commands in README.md: build.py OUT [--native]

Says which it left out because their compiler is not there, and fails when a compiler does. OUT/<name>.wasm is built anew
only when a source, this script or the README is newer. `--native` builds those for this machine too.
"""
import argparse
import os
import pathlib
import re
import shlex
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROW = re.compile(r"^\| ([\w+]+) \| `([^`]+)` \| `([^`]+)` \|$", re.M)


def commands():
    """(language, command for WebAssembly, command for this machine) of each row of README.md."""
    rows = ROW.findall((HERE / "README.md").read_text())
    assert len(rows) == 4, rows
    return rows


def output_of(command):
    return re.search(r" -o (\S+)", command)[1]


def environment():
    """Go's compiler may lie where `./dev setup` has put it; its cache may not lie in a home that is not there."""
    values = dict(os.environ)
    here = HERE.parents[1] / "build/go/bin"
    if here.exists():
        values["PATH"] = f"{here}:{values['PATH']}"
    if not os.access(os.path.expanduser("~"), os.W_OK):
        values["GOCACHE"] = str(HERE.parents[1] / "build/go-cache")
    return values


def missing(command, values):
    """What of the command's tools is not there, or is too old to make what it says."""
    words = [word for word in shlex.split(command) if "=" not in word]
    probe = {"go": "version", "rustc": "--version"}.get(pathlib.Path(words[0]).name, "--version")
    try:
        said = subprocess.run([words[0], probe], cwd=HERE, env=values, capture_output=True, text=True)
    except OSError:
        return words[0]
    version = re.search(r"go(\d+)\.(\d+)", said.stdout)
    if words[0] == "go" and version and (int(version[1]), int(version[2])) < (1, 24):
        return "go 1.24"
    if "wasm32-wasi" in words or "--target=wasm32-wasi" in words:
        for word in words:
            if word.startswith("-fuse-ld=") and not os.path.exists(word.split("=", 1)[1]):
                return word.split("=", 1)[1]
    if "--target=wasm32-wasi" in words and not os.path.exists("/usr/include/wasm32-wasi"):
        return "wasi-libc"
    if words[0].startswith("clang++") and "--target=wasm32-wasi" in words and not os.path.exists("/usr/include/wasm32-wasi/c++"):
        return "libc++-19-dev-wasm32"
    return ""


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--native", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    out = options.out.resolve()
    values = environment()
    newest = max(path.stat().st_mtime for path in [*HERE.iterdir(), *(HERE.parent / "wasm").glob("digest.*")] if path.is_file())
    for language, wasm, native in commands():
        for command in [wasm, native] if options.native else [wasm]:
            made = out / output_of(command)
            if made.exists() and made.stat().st_mtime > newest:
                continue
            if tool := missing(command, values):
                print(f"left out: {made.name}: {tool} is not installed")
                made.unlink(missing_ok=True)
                continue
            # Under another name first: who runs it meanwhile keeps the old one.
            beside = made.with_name(f".{made.name}.{os.getpid()}")
            ran = subprocess.run(["sh", "-ec", command.replace(f" -o {made.name}", f" -o {shlex.quote(str(beside))}")], cwd=HERE,
                                 env=values, capture_output=True, text=True)
            if ran.returncode:
                print(f"{language}: {command}\n{ran.stdout}{ran.stderr}", file=sys.stderr)
                return 1
            os.replace(beside, made)
            print(f"built: {made.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
