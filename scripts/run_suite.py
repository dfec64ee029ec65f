"""The whole suite, part by part: what `./dev test` and CI run.

Goes on after a part that fails, keeps each part's output in build/logs, and ends with a table of parts, what failed and how,
the tests that were skipped and why, and one line `N passed, N failed, N skipped`. Exits non-zero when anything failed.

A part counts what it ran: each GoogleTest case, each case that a Python suite reports, each file that clang-tidy looked at,
each fuzz target; a build or the format check counts as one.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "build/logs"
DETAIL_LINES_MAX = 40
LABELS = ("layers", "tidy", "unit", "conformance", "e2e", "bench")


class Part:
    def __init__(self, name):
        self.name, self.seconds = name, 0.0
        self.passed = 0
        self.failed, self.skipped = [], []  # each a name and why


class Suite:
    def __init__(self, options):
        self.options, self.parts = options, []

    def run(self, name, command, environment=None, count=None):
        """Runs one part and shows its output as it comes. `count` fills the part in; without it the part is one test."""
        part = Part(name)
        self.parts.append(part)
        print(f"\n\033[1m==> {name}\033[0m: {' '.join(map(str, command))}", flush=True)
        begin = time.monotonic()
        path = LOGS / (re.sub(r"[^a-z0-9]+", "-", name) + ".log")
        with open(path, "w", errors="replace") as log:
            child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **(environment or {})}, text=True, errors="replace",
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            for line in child.stdout:
                log.write(line)
                sys.stdout.write(line)
                sys.stdout.flush()
            code = child.wait()
        part.seconds = time.monotonic() - begin
        if count:
            count(part, path.read_text(errors="replace"))
        if code and not part.failed:
            part.failed.append((f"exit status {code}, see {path.relative_to(ROOT)}", tail(path.read_text(errors="replace"))))
        elif not count:
            part.passed += 1
        return code == 0

    def build(self, preset, *targets, name=None):
        return self.run(name or f"build {preset}", ["./dev", "build", "--preset", preset, *targets])

    def ctest(self, preset, label, environment=None, exclude=None, jobs=None):
        """The tests of one label in one build folder; with `exclude`, those that carry none of the labels known here."""
        results = ROOT / f"build/{preset}/results/{label}"
        shutil.rmtree(results, ignore_errors=True)
        results.mkdir(parents=True)
        select = ["-LE", exclude] if exclude else ["-L", f"^{label}$"]
        self.run(f"{label}, {preset}",
                 ["ctest", "--test-dir", f"build/{preset}", *select, "--parallel", str(jobs or self.options.jobs), "--timeout", "300",
                  "--no-tests=ignore", "--output-on-failure", "--output-junit", str(results / "ctest.junit"),
                  "--test-output-size-passed", "10000000", "--test-output-size-failed", "10000000"],
                 {"GTEST_OUTPUT": f"xml:{results}/", "GTEST_COLOR": "no", **(environment or {})},
                 lambda part, log: count_ctest(part, results))


def count_ctest(part, results):
    if not (results / "ctest.junit").exists():
        return
    for case in xml.parse(results / "ctest.junit").getroot().iter("testcase"):
        name, output = case.get("name"), case.findtext("system-out") or ""
        passed, failed, skipped = count_gtest(results, name)
        if passed + len(failed) + len(skipped) == 0:
            passed, failed, skipped = count_unittest(name, output)
        if case.get("status") == "fail":
            failed = failed or [(name, tail(output))]
        elif case.get("status") == "disabled":
            skipped = [(name, "disabled")]
        elif case.get("status") == "notrun":
            # Only a test that asked for it is skipped; one whose program is missing has failed.
            message = case.find("skipped").get("message") if case.find("skipped") is not None else "not run"
            if message.startswith("SKIP_"):
                said = re.findall(r"^skipped:? (.+)$", output, re.M | re.I)
                skipped = skipped or [(name, said[-1] if said else message)]
            else:
                failed = [(name, message)]
        elif passed + len(failed) + len(skipped) == 0:
            passed = 1
        part.passed += passed
        part.failed += failed
        part.skipped += skipped


def tail(text):
    return "\n".join(text.rstrip().split("\n")[-DETAIL_LINES_MAX:])


def count_gtest(results, name):
    """What the GoogleTest program of this ctest test wrote to <program>.xml; a crash leaves no file and counts as one."""
    passed, failed, skipped = 0, [], []
    for path in (results / f"{name}_test.xml", results / f"{name}.xml"):
        if not path.exists():
            continue
        for case in xml.parse(path).getroot().iter("testcase"):
            full = f"{name}: {case.get('classname')}.{case.get('name')}"
            if case.find("failure") is not None:
                failed.append((full, tail("\n".join(failure.get("message") for failure in case.iter("failure")))))
            elif case.find("skipped") is not None:
                skipped.append((full, (case.find("skipped").get("message") or "no reason").split("\n")[-1].strip()))
            elif case.get("status") == "run":
                passed += 1
            else:
                skipped.append((full, "disabled"))
    return passed, failed, skipped


def count_unittest(name, output):
    """What Python's unittest printed, as `Ran 12 tests` and `test_x (…) ... skipped 'why'`."""
    ran = [int(n) for n in re.findall(r"^Ran (\d+) tests? in ", output, re.M)]
    failed = [(f"{name}: {case}", tail(why)) for case, why in
              re.findall(r"^(?:FAIL|ERROR): ([^\n]+)\n-{70}\n(.*?)(?=^={70}$|^-{70}$)", output, re.M | re.S)]
    skipped = [(f"{name}: {case.strip()}", why)
               for case, why in re.findall(r"^(\S+ \([^)]*\)).*?\.\.\. skipped ['\"](.*)['\"]$", output, re.M)]
    # Without -v it says how many were skipped, not which.
    untold = sum(int(n) for n in re.findall(r"^(?:OK|FAILED) \(.*?skipped=(\d+)", output, re.M)) - len(skipped)
    skipped += [(name, "a case of it; run it with -v for the reason")] * max(0, untold)
    return max(0, sum(ran) - len(failed) - len(skipped)), failed, skipped


def count_tidy(part, log):
    for state, path in re.findall(r"^tidy (ok|FAILED) (\S+)", log, re.M):
        if state == "ok":
            part.passed += 1
        else:
            part.failed.append((path, ""))


def sanitizers():
    symbolizer = "/usr/lib/llvm-19/bin/llvm-symbolizer"
    return {
        "ASAN_OPTIONS": f"detect_stack_use_after_return=1:strict_string_checks=1:external_symbolizer_path={symbolizer}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:external_symbolizer_path={symbolizer}",
        "TSAN_OPTIONS": f"halt_on_error=1:second_deadlock_stack=1:external_symbolizer_path={symbolizer}",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    suite = Suite(parser.parse_args())
    LOGS.mkdir(parents=True, exist_ok=True)
    begin = time.monotonic()

    suite.run("format", ["./dev", "fmt", "--check"])
    if suite.build("release"):
        for label in LABELS:
            # The end-to-end suites wait more than they work: two more than there are cores at a time.
            suite.ctest("release", label, jobs=suite.options.jobs + (2 if label == "e2e" else 0))
        suite.ctest("release", "unlabelled", exclude="|".join(LABELS))
    suite.build("release", "all_verify_interface_header_sets", name="each header alone")
    suite.run("clang-tidy", ["./dev", "tidy"], count=count_tidy)
    if suite.build("asan"):
        suite.ctest("asan", "unit", sanitizers())
        suite.ctest("asan", "conformance", sanitizers())
        suite.ctest("asan", "fuzz", sanitizers())
    if suite.build("tsan", "unit_tests"):
        suite.ctest("tsan", "unit", sanitizers())

    return report(suite.parts, time.monotonic() - begin)


def report(parts, seconds):
    print(f"\n{'part':<28}{'time':>8}{'passed':>8}{'failed':>8}{'skipped':>8}")
    for part in parts:
        print(f"{part.name:<28}{part.seconds:>7.1f}s{part.passed:>8}{len(part.failed):>8}{len(part.skipped):>8}")
    print(f"{'in all':<28}{seconds:>7.1f}s\n")
    for part in parts:
        for name, why in part.failed:
            print(f"failed: {part.name}: {name}")
            print("".join(f"    {line}\n" for line in why.rstrip().split("\n") if line), end="")
    for part in parts:
        for name, why in part.skipped:
            print(f"skipped: {part.name}: {name}: {why}")
    for part in parts:
        if part.failed:
            print(f"failed: {part.name}: {', '.join(name for name, _ in part.failed)}")
    passed, failed, skipped = (sum(n) for n in zip(*((p.passed, len(p.failed), len(p.skipped)) for p in parts)))
    print(f"{passed} passed, {failed} failed, {skipped} skipped", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
