"""The specification's test suite on every engine, and the table in docs/wasm-engines.md that says what each of them lacks.

    python3 tests/wasm_spec/suite.py                          each engine that can be loaded
    python3 tests/wasm_spec/suite.py --engine wasmi           one
    python3 tests/wasm_spec/suite.py --write                  each, and puts the table into the document
    python3 tests/wasm_spec/suite.py --engine wasmi --check   one, and fails unless the document's table says the same

Exits with 1 where something failed, and with 77 where the engine named cannot be loaded here.
"""

import argparse
import concurrent.futures
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "third_party/wasm-spec-tests/core"
TOOL = ROOT / "build/tools/wasm-tools"
DOCUMENT = ROOT / "docs/wasm-engines.md"
BEGIN = "<!-- tests/wasm_spec/suite.py --write -->\n"
END = "<!-- end -->"
SKIPPED = 77
# Each a column of the table.
ENGINES = (("wasmtime", "cranelift"), ("wazero", "compiled"), ("wazero", "interpreter"), ("wasmi", ""))
NEEDS = re.compile(r"^needs (.*)$")


def wasm_tools():
    found = TOOL if TOOL.exists() else shutil.which("wasm-tools")
    if not found:
        sys.exit("there is no wasm-tools: run third_party/wasm-tools/install.sh build/tools")
    return found


def convert(folder):
    """The scripts in their JSON form, each with its modules; made once for all that run at a time."""
    folder.mkdir(parents=True, exist_ok=True)
    scripts = sorted(SCRIPTS.rglob("*.wast"))
    tool = wasm_tools()
    hashed = hashlib.sha256(subprocess.run([tool, "--version"], capture_output=True, check=True).stdout)
    for script in scripts:
        hashed.update(str(script.relative_to(SCRIPTS)).encode() + script.read_bytes())
    stamp = hashed.hexdigest()

    def one(script):
        json_file = folder / "core" / script.relative_to(SCRIPTS).with_suffix(".json")
        json_file.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run([tool, "json-from-wast", script.relative_to(SCRIPTS), "-o", json_file, "--wasm-dir", json_file.parent],
                       cwd=SCRIPTS, check=True)

    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "stamp").exists() or (folder / "stamp").read_text() != stamp:
            shutil.rmtree(folder / "core", ignore_errors=True)
            with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
                list(pool.map(one, scripts))
            (folder / "stamp").write_text(stamp)
    return sorted((folder / "core").rglob("*.json"))


def run(spectest, engine, mode, files):
    """What spectest found, or None and why where the engine cannot be loaded."""
    command = [spectest, "--engine", engine, "--json", *(["--mode", mode] if mode else []), *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 2:
        return None, done.stderr.strip()
    if done.returncode not in (0, 1):
        raise RuntimeError(f"spectest ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout), None


def title(engine, mode):
    return f"{engine} {mode}".strip()


def column(result):
    """What the table says of one engine: rows in their order, each with a number or `has`."""
    lacks, other = {}, {}
    for reason, count in result["skipped"].items():
        needs = NEEDS.match(reason)
        for proposal in needs[1].split(", ") if needs else ():
            lacks[proposal] = lacks.get(proposal, 0) + count
        if not needs:
            other[reason] = count
    cells = {"passed": result["passed"], "failed": result["failed"], "skipped": sum(result["skipped"].values())}
    cells |= {f"needs {proposal}": "has" for proposal in result["proposals"]}
    cells |= {f"needs {proposal}": count for proposal, count in lacks.items()}
    return cells | other


def text_of(cell):
    return f"{cell:,}" if isinstance(cell, int) else cell


def table(columns):
    first = ("passed", "failed", "skipped")
    rows = {row for cells in columns.values() for row in cells} - set(first)
    needs = sorted(row for row in rows if NEEDS.match(row))
    lines = ["| commands | " + " | ".join(columns) + " |", "|" + "---|" * (len(columns) + 1)]
    for row in [*first, *needs, *sorted(rows - set(needs))]:
        cells = [text_of(cells.get(row, 0)) for cells in columns.values()]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def documented():
    """The document's columns: for each engine its rows that are not 0."""
    lines = DOCUMENT.read_text().split(BEGIN)[1].split(END)[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|") and "---" not in line]
    return {name: {row[0]: row[at] for row in rows[1:] if row[at] != "0"}
            for at, name in enumerate(rows[0]) if at > 0}


def report(name, result):
    print(f"{name} {result['version']}: {result['passed']} passed, {result['failed']} failed, "
          f"{sum(result['skipped'].values())} skipped in {len(result['files'])} files")
    for reason, count in result["skipped"].items():
        print(f"  {count} skipped: {reason}")
    for file in result["files"]:
        for failure in file["failures"]:
            print(f"  {file['file']}: line {failure['line']}, {failure['command']}: {failure['message']}")


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--engine", choices=sorted({engine for engine, _ in ENGINES}))
    options.add_argument("--mode", default=None)
    options.add_argument("--spectest", default=ROOT / "build/release/tests/spectest")
    options.add_argument("--work", type=pathlib.Path, default=ROOT / "build/wasm-spec", help="where the scripts are converted")
    options.add_argument("--check", action="store_true")
    options.add_argument("--write", action="store_true")
    chosen = options.parse_args()

    files = convert(chosen.work)
    columns, failed, absent = {}, False, False
    for engine, mode in ENGINES:
        if chosen.engine not in (None, engine) or chosen.mode not in (None, mode):
            continue
        result, why_not = run(chosen.spectest, engine, mode, files)
        if result is None:
            print(f"{title(engine, mode)} is skipped: {why_not}")
            absent = True
            continue
        report(title(engine, mode), result)
        failed |= result["failed"] > 0
        columns[title(engine, mode)] = column(result)

    if chosen.write:
        text = DOCUMENT.read_text()
        begin = text.index(BEGIN) + len(BEGIN)
        DOCUMENT.write_text(text[:begin] + table(columns) + text[text.index(END, begin):])
    if chosen.check:
        for name, cells in columns.items():
            found = {row: text_of(cell) for row, cell in cells.items() if cell != 0}
            if documented().get(name) != found:
                print(f"docs/wasm-engines.md tells otherwise of {name}: run tests/wasm_spec/suite.py --write")
                failed = True
    if failed:
        return 1
    return SKIPPED if absent and not columns else 0


if __name__ == "__main__":
    sys.exit(main())
