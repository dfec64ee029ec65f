"""docs/adding-an-engine.md does what it says: its code is taken out, built into the program, and runs guests."""

import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import tools
from seam_server import SEAM

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = SEAM.parent
PAGE = (ROOT / "docs" / "adding-an-engine.md").read_text()

GUESTS = {
    "add.wat": '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))',
    "spin.wat": '(module (func (export "_start") (loop $again (br $again))))',
    "spin_if.wat": '(module (func (export "_start") (loop $again (br_if $again (i32.const 1)))))',
    "recurse.wat": '(module (func $f (export "_start") (call $f)))',
    "trap.wat": '(module (func $inner (unreachable)) (func (export "_start") (call $inner)))',
    "grow.wat": '(module (memory (export "memory") 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))',
    # Asks for a day on the monotonic clock: a subscription is 48 bytes, with the clock at 16 and its time at 24.
    "sleep.wat": r"""(module (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (data (i32.const 16) "\01") (data (i32.const 24) "\00\00\4f\91\94\4e")
      (func (export "_start") (drop (call $poll (i32.const 0) (i32.const 64) (i32.const 1) (i32.const 128)))))""",
    "hello.wat": r"""(module (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
      (memory (export "memory") 1) (data (i32.const 0) "\08\00\00\00\06\00\00\00hello\n")
      (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 100))) (call $exit (i32.const 5))))""",
}


def blocks(mark):
    """What stands in the fences behind <!-- mark: name -->, by name, pieces of one name in the order of the page."""
    out = {}
    for name, code in re.findall(rf"^<!-- {mark}:? ?(\S*) -->\n```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL):
        out[name] = out.get(name, "") + code
    return out


def command_for(target):
    """How this build makes a target, as a list."""
    lines = subprocess.run(["ninja", "-C", str(BUILD), "-t", "commands", "-s", target], capture_output=True, text=True, check=True).stdout
    line = [each for each in lines.splitlines() if not each.startswith("ninja:")][-1]
    return shlex.split(re.sub(r"^: && (.*) && :$", r"\1", line))


def run(command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        raise AssertionError(f"{shlex.join(map(str, command))[-500:]}\n{done.stdout[-4000:]}{done.stderr[-8000:]}")
    return done.stdout


def compile_like(target, source, more, out):
    """Compiles `source` with the flags that this build has for `target`."""
    command = command_for(target)
    command[command.index("-o") + 1] = str(out)
    command[command.index("-c") + 1] = str(source)
    for flag in ("-MF", "-MT"):
        command[command.index(flag) + 1] = str(out) + ".d"
    at = command.index("-c")
    run([*command[:at], *more, *command[at:]], cwd=BUILD)


@unittest.skipUnless((BUILD / "build.ninja").exists() and shutil.which("ninja"), "the program does not stand in the folder it was built in")
class AddingAnEngine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="seam-engine-")
        cls.addClassCleanup(cls.folder.cleanup)
        work = cls.path = pathlib.Path(cls.folder.name)
        for name, code in blocks("file").items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text(code)
        script = work / "third_party/wasm3/build.sh"
        library = tools.built("wasm3", script)

        # The one line, where the page says: in the list of engines.
        source = (ROOT / "src/cli/wasm_engines.cc").read_text()
        line = blocks("line")["src/cli/wasm_engines.cc"]
        listed = re.sub(r"(wasm::\w+_adapter\(\))(\s*\})", lambda match: match[1] + ",\n" + line.rstrip().rstrip(",") + match[2], source, count=1)
        assert listed != source, "the list of engines is not found in src/cli/wasm_engines.cc"
        wiring = work / "wasm_engines.cc"
        wiring.write_text('#include "wasm/wasm3/wasm3.h"\n' + listed)
        compile_like("src/CMakeFiles/cli.dir/cli/wasm_engines.cc.o", wiring, ["-I", work / "src"], work / "wiring.o")
        compile_like("src/CMakeFiles/wasm_wasmtime.dir/Unity/unity_0_cxx.cxx.o", work / "src/wasm/wasm3/wasm3.cc",
                     ["-I", work / "src", "-isystem", library / "include"], work / "wasm3.o")
        link = command_for("seam")
        cls.seam_path = work / "bin" / "seam"
        cls.seam_path.parent.mkdir()
        link[link.index("-o") + 1] = str(cls.seam_path)
        first = next(i for i, word in enumerate(link) if word.endswith(".o"))
        link[first:first] = [str(work / "wiring.o"), str(work / "wasm3.o"), str(library / "libwasm3.a")]
        run(link, cwd=BUILD)
        engines = BUILD.parent / "lib"
        if engines.exists():
            (work / "lib").symlink_to(engines)
        for name, text in GUESTS.items():
            (work / name).write_text(text)

    def seam(self, *arguments, code=0):
        done = subprocess.run([str(self.seam_path), "wasm", *arguments], capture_output=True, text=True, cwd=self.path, stdin=subprocess.DEVNULL,
                              env={"PATH": os.environ["PATH"]}, check=False)
        self.assertEqual(done.returncode, code, (arguments, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def wasm3(self, guest, *arguments, code=0):
        return self.seam("run", guest, "--engine", "wasm3", *arguments, code=code)

    def test_what_the_page_shows_is_what_happens(self):
        commands = re.split(r"^\$ seam wasm ", blocks("run")[""], flags=re.MULTILINE)[1:]
        self.assertEqual(len(commands), 3)
        for text in commands:
            command, _, output = text.partition("\n")
            done = subprocess.run([str(self.seam_path), "wasm", *shlex.split(command)], capture_output=True, text=True, cwd=self.path, check=False)
            shown = ".*".join(re.escape(part) for part in output.split("…"))
            self.assertRegex(done.stdout + done.stderr, rf"\A{shown}\Z", command)

    def test_it_is_listed_and_runs_what_the_others_run(self):
        engines = {engine["name"]: engine for engine in json.loads(self.seam("engines", "--json"))["engines"]}
        self.assertTrue(engines["wasm3"]["loadable"])
        self.assertEqual(engines["wasm3"]["version"], "0.5.0")
        self.assertIn("wasmtime", engines)
        for guest in (("hello.wat",), ("add.wat", "--invoke", "add", "1", "2"), ("trap.wat",)):
            told = json.loads(self.seam("compare", guest[0], "--repeat", "1", "--json", *guest[1:]))
            self.assertTrue(told["same"], told)
            self.assertIn("wasm3", [run["engine"] for run in told["runs"]])

    def test_it_keeps_what_an_engine_owes(self):
        self.assertEqual(self.wasm3("hello.wat", code=5), "hello\n")
        for endless in ("spin.wat", "spin_if.wat", "sleep.wat"):
            self.assertIn("DeadlineExceeded: its time is up", self.wasm3(endless, "--timeout-ms", "50", code=124))
        self.assertIn("Trapped (StackOverflow)", self.wasm3("recurse.wat", code=134))
        self.assertIn("Trapped (Unreachable)", self.wasm3("trap.wat", code=134))
        grow = ("grow.wat", "--memory-bytes", "192KiB", "--invoke", "grow")
        self.assertEqual(self.wasm3(*grow, "2"), "1\n")
        self.assertEqual(self.wasm3(*grow, "3"), "-1\n")
        self.assertIn("LimitExceeded", self.wasm3("grow.wat", "--memory-bytes", "1KiB", "--invoke", "grow", "1", code=137))
        self.assertIn("counts no fuel", self.wasm3("add.wat", "--fuel", "10", "--invoke", "add", "1", "2", code=125))
        (self.path / "import.wat").write_text('(module (import "env" "none" (func)) (func (export "_start")))')
        self.assertIn("it imports env.none, which is not offered", self.wasm3("import.wat", code=125))
        (self.path / "cut.wasm").write_bytes(b"\0asm\1\0\0\0\1\x7f")
        self.assertIn("ModuleCompileFailed", self.wasm3("cut.wasm", code=125))


if __name__ == "__main__":
    unittest.main()
