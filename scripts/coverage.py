"""Line coverage by the unit tests and the suites of the WebAssembly engines: what `./dev test --coverage [module…]` runs.

Builds with clang's source-based coverage (preset `coverage`), runs each test program, and prints lines and how many of them ran,
folder by folder of src/. Fails where a test does, or where a gate of GATES is missed. Names of modules narrow it to their tests and
folders: `./dev test --coverage wasm` also runs the engines' suites.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build/coverage"
GATES = {"wasm": 80.0}  # folder of src/ = least share of its lines, in percent
SUITES = ("engines", "endurance")  # of tests/; both belong to the module wasm
LLVM = pathlib.Path("/usr/lib/llvm-19/bin")


def test_programs(modules):
    """(target, command) of each test program that is wanted."""
    # ctest itself tells no command whose program has not been built.
    listed = "".join(file.read_text() for file in sorted(BUILD.rglob("CTestTestfile.cmake")))
    for words in re.findall(r"^add_test\(\[=\[.+?\]=\] (.+)\)$", listed, re.M):
        command = shlex.split(words)
        if not command[0].startswith(f"{BUILD}/"):
            continue
        place = pathlib.Path(command[0]).relative_to(BUILD)
        if place.parts[0] == "tests" and place.parts[1] in SUITES:
            module = "wasm"
        elif place.parts[0] == "src" and place.name.endswith("_test"):
            module = place.name.split("_")[0]
        else:
            continue
        if not modules or module in modules:
            yield place.name, command


def run_tests(programs, profiles):
    failed = []
    for name, command in programs:
        print(f"==> {name}", flush=True)
        environment = {**os.environ, "LLVM_PROFILE_FILE": str(profiles / f"{name}-%p.profraw")}
        ran = subprocess.run(command, cwd=profiles, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, errors="replace")
        if ran.returncode:
            print(ran.stdout[-4000:])
            failed.append(name)
    return failed


def folders(programs, profiles):
    """{folder of src/: [lines, lines that ran]}."""
    merged = profiles / "merged.profdata"
    subprocess.run([LLVM / "llvm-profdata", "merge", "-sparse", "-o", merged, *profiles.glob("*.profraw")], check=True)
    objects = [word for _, command in programs for word in ("-object", command[0])][1:]
    report = subprocess.run([LLVM / "llvm-cov", "export", "-summary-only", f"-instr-profile={merged}",
                             r"-ignore-filename-regex=(_test|_testing|_conformance)\.(cc|h)$", *objects],
                            check=True, capture_output=True, text=True)
    counts = collections.defaultdict(lambda: [0, 0])
    for file in json.loads(report.stdout)["data"][0]["files"]:
        path = pathlib.Path(file["filename"])
        if path.is_relative_to(ROOT / "src"):
            counts[str(path.parent.relative_to(ROOT / "src"))][0] += file["summary"]["lines"]["count"]
            counts[str(path.parent.relative_to(ROOT / "src"))][1] += file["summary"]["lines"]["covered"]
    return counts


def share(counts):
    lines, covered = map(sum, zip(*counts))
    return 100 * covered / lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    programs = list(test_programs(options.modules))
    if not programs:
        sys.exit(f"no module has tests among: {', '.join(options.modules)}")
    subprocess.run(["ninja", "-C", BUILD, "-j", str(options.jobs), *dict.fromkeys(name for name, _ in programs)], check=True)
    profiles = BUILD / "profiles"
    shutil.rmtree(profiles, ignore_errors=True)
    profiles.mkdir()
    failed = run_tests(programs, profiles)
    counts = {folder: found for folder, found in sorted(folders(programs, profiles).items())
              if not options.modules or folder.split("/")[0] in options.modules}
    print(f"\n{'folder of src':<24}{'lines':>8}{'ran':>8}{'share':>9}")
    for folder, (lines, covered) in counts.items():
        print(f"{folder:<24}{lines:>8}{covered:>8}{100 * covered / lines:>8.1f}%")
    missed = False
    for module, least in GATES.items():
        of_module = [found for folder, found in counts.items() if folder.split("/")[0] == module]
        if of_module:
            missed |= share(of_module) < least
            print(f"\nsrc/{module} and below: {share(of_module):.1f} %, of at least {least:g} %")
    for name in failed:
        print(f"failed: {name}")
    print(f"{len(programs) - len(failed)} passed, {len(failed)} failed, 0 skipped")
    return 1 if failed or missed else 0


if __name__ == "__main__":
    sys.exit(main())
