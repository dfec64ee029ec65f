"""`seam wasm …`: engines, modules and guests from the command line, without a server."""

import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import unittest

from seam_server import SEAM

# One guest that does what its first argument says.
GUEST = r"""
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern char** environ;

__attribute__((noinline)) static void fall_over(volatile int* at) { *at = 1; __builtin_trap(); }

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (!strcmp(what, "show")) {
    for (int i = 0; i < argc; ++i) printf("arg %s\n", argv[i]);
    for (char** each = environ; *each; ++each) printf("env %s\n", *each);
    fprintf(stderr, "on stderr\n");
  } else if (!strcmp(what, "exit")) {
    return atoi(argv[2]);
  } else if (!strcmp(what, "trap")) {
    int at;
    puts("before");
    fflush(stdout);
    fall_over(&at);
  } else if (!strcmp(what, "spin")) {
    for (volatile unsigned i = 0;; ++i) {}
  } else if (!strcmp(what, "grow")) {
    unsigned count = 0;
    for (void* volatile at = malloc(1 << 20); at; at = malloc(1 << 20)) ++count;
    printf("%u MiB\n", count);
  } else if (!strcmp(what, "echo")) {
    char line[100];
    puts("ready");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
      printf("got %s", line);
      fflush(stdout);
    }
  } else if (!strcmp(what, "cat")) {
    FILE* file = fopen(argv[2], "r");
    if (!file) return printf("%s: %s\n", argv[2], strerror(errno)), 1;
    for (int c; (c = getc(file)) != EOF;) putchar(c);
  } else if (!strcmp(what, "append")) {
    FILE* file = fopen(argv[2], "a");
    if (!file) return printf("%s: %s\n", argv[2], strerror(errno)), 1;
    fputc('x', file);
    fflush(file);
    fseek(file, 0, SEEK_END);
    printf("%ld bytes\n", ftell(file));
  } else if (!strcmp(what, "yes")) {
    for (;;) puts("y");
  } else if (!strcmp(what, "chance")) {
    unsigned char random[8];
    __attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get"))) int get(void*, int);
    get(random, sizeof random);
    for (int i = 0; i < 8; ++i) printf("%02x", random[i]);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf(" %ld %ld\n", (long)time(NULL), now.tv_nsec);
  }
  return 0;
}
"""

MATH = """(module $sums
  (memory (export "memory") 1 4)
  (func $add (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
  (func (export "mix") (param i64 f32 f64) (result f64 i64 f32) (local.get 2) (local.get 0) (local.get 1))
  (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0)))
  (func (export "nan") (result f32) (f32.div (f32.const 0) (f32.const 0)))
  (func $down (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1))))
"""

NOT_BEGUN = 125


@functools.cache
def compiled(source):
    with tempfile.TemporaryDirectory(prefix="seam-wasm-") as folder:
        file = pathlib.Path(folder, "guest.c")
        file.write_text(source)
        subprocess.run(["clang-19", "--target=wasm32-wasi", "-O1", "-fuse-ld=/usr/bin/wasm-ld-19", str(file), "-o", f"{folder}/guest.wasm"], check=True)
        return pathlib.Path(folder, "guest.wasm").read_bytes()


class WasmTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="seam-wasm-")
        cls.path = pathlib.Path(cls.folder.name)
        cls.write("math.wat", MATH)
        cls.write("guest.wasm", compiled(GUEST))

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def write(cls, name, content):
        (cls.path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    def seam(self, *arguments, code=0, stdin=b"", program=SEAM):
        done = subprocess.run([str(program), "wasm", *arguments], input=stdin, capture_output=True, cwd=self.path,
                              env={"PATH": os.environ["PATH"]}, check=False)
        self.assertEqual(done.returncode, code, (done.stdout[-2000:], done.stderr[-2000:]))
        return done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")

    def json(self, *arguments, **options):
        return json.loads(self.seam(*arguments, "--json", **options)[0])

    def engines(self):
        """(engine, mode) of all that can be loaded, and the flags that choose them."""
        for engine in self.json("engines")["engines"]:
            for mode in engine["modes"] if engine["loadable"] else []:
                yield engine, mode, ["--engine", engine["name"], *(["--mode", mode["mode"]] if mode["mode"] else [])]


class Engines(WasmTest):
    def test_each_says_what_it_can_do(self):
        engines = self.json("engines")["engines"]
        self.assertEqual(engines[0]["name"], "wasmtime")
        self.assertTrue(engines[0]["default"] and engines[0]["loadable"])
        self.assertRegex(engines[0]["version"], r"^\d+\.\d+\.\d+$")
        self.assertEqual((engines[0]["mode_key"], engines[0]["modes"][0]["mode"]), ("strategy", "cranelift"))
        self.assertTrue(engines[0]["modes"][0]["fuel"])
        out, _ = self.seam("engines")
        for engine in engines:
            self.assertIn(engine["name"], out)
            self.assertTrue(engine["loadable"], engine["why_not"])  # a build has all of its engines

    def test_one_whose_library_is_not_there_says_so_and_harms_no_other(self):
        with tempfile.TemporaryDirectory() as folder:
            alone = pathlib.Path(folder) / "bin" / "seam"
            alone.parent.mkdir()
            shutil.copy(SEAM, alone)
            engines = json.loads(self.seam("engines", "--json", program=alone)[0])["engines"]
            self.assertTrue(engines[0]["loadable"])
            out, _ = self.seam("engines", program=alone)
            for engine in engines:
                if engine["loadable"]:
                    continue
                self.assertIn(f"{folder}/lib/seam/engines", engine["why_not"])
                self.assertIn(f"{engine['name']} cannot be loaded here: ", out)
                _, error = self.seam("run", "math.wat", "--engine", engine["name"], "--invoke", "add", "1", "2", code=NOT_BEGUN, program=alone)
                self.assertIn(engine["why_not"], error)
            self.assertEqual(self.seam("run", "math.wat", "--invoke", "add", "1", "2", program=alone)[0], "3\n")
            self.assertEqual(self.seam("compare", "math.wat", "--repeat", "1", "--invoke", "add", "1", "2", program=alone)[0].count("cannot be loaded here"),
                             sum(len(engine["modes"]) for engine in engines if not engine["loadable"]))


class Inspect(WasmTest):
    def test_a_command(self):
        out, _ = self.seam("inspect", "guest.wasm")
        for words in ("a core module", "wasi_snapshot_preview1", "a command", "takes it", "clang", "memory", "_start", "custom name"):
            self.assertIn(words, out)
        module = self.json("inspect", "guest.wasm")
        self.assertEqual((module["kind"], module["wasi"], module["function_form"]), ("a core module", "wasi_snapshot_preview1", "command"))
        self.assertIn({"name": "_start", "kind": "function", "type": "() -> ()"}, module["exports"])
        self.assertIn({"module": "wasi_snapshot_preview1", "name": "fd_write", "kind": "function", "type": "(i32, i32, i32, i32) -> i32"}, module["imports"])
        self.assertGreater(module["data_bytes"], 10)
        self.assertTrue(all(engine["takes_it"] for engine in module["engines"]), module["engines"])
        self.assertEqual(len(module["engines"]), len(list(self.engines())))

    def test_text(self):
        module = self.json("inspect", "math.wat")
        self.assertEqual((module["kind"], module["name"], module["function_form"], module["wasi"]), ("a module in the text format", "sums", "", ""))
        self.assertIn("exports no function handle", module["no_function_because"])
        self.assertEqual(module["memories"], [{"imported": False, "page_bytes": 65536, "min": 1, "max": 4, "is_64": False, "shared": False}])
        out, _ = self.seam("inspect", "math.wat")
        self.assertIn("1 to 4 pages", out)
        self.assertIn("(i64, f32, f64) -> (f64, i64, f32)", out)

    def test_what_no_engine_takes(self):
        self.write("bad.wasm", b"\0asm\1\0\0\0\x03\x02\x01\x07")  # a function of a type that there is not
        out, _ = self.seam("inspect", "bad.wasm", code=1)
        self.assertIn("no: ", out)
        self.assertIn("no engine that can be loaded here takes it", out)

    def test_hostile_bytes_are_errors_that_say_what_to_do(self):
        component = self.write("component.wasm", b"\0asm\x0d\0\1\0")
        for name, content, words in (
            ("empty.wasm", b"", "is no WebAssembly: it is empty. Give a module (.wasm) or its text (.wat)."),
            ("script.wasm", b"#!/bin/sh\n", "is no WebAssembly: it begins with 23 21 2f 62"),
            ("cut.wasm", b"\0asm", "of a version that no engine takes"),
            ("cut2.wasm", (self.path / "guest.wasm").read_bytes()[:-9000], "is a broken module: at byte 0x"),
            ("names.wasm", b"\0asm\1\0\0\0\x07\x85\x80\x80\x80\x00\x01\xff\xff\xff\x7f", "is a broken module: at byte 0x"),
            (component, None, "is a component, and Seam's engines take core modules. Build it for WASI preview 1"),
            ("text.wat", "(module\n  (func (export \"f\") (i32.const)))", "text.wat: "),
            ("deep.wat", "(" * 1_000_000, "deep.wat: "),
            ("strange.wat", b"(module \xff\xfe)", "strange.wat: "),
        ):
            if content is not None:
                self.write(name, content)
            for command, usual in (("inspect", (1, 2)), ("run", (NOT_BEGUN,)), ("compare", (1, 2))):
                done = subprocess.run([str(SEAM), "wasm", command, name], capture_output=True, cwd=self.path, stdin=subprocess.DEVNULL, check=False)
                self.assertIn(done.returncode, usual, (command, name, done.stderr))
                if command == "inspect" or "broken" not in words:
                    self.assertIn(words, (done.stderr + done.stdout).decode(), (command, name))
        self.assertEqual(self.json("inspect", component, code=1)["kind"], "a component")
        for arguments, words in (
            (("inspect",), "Give a file"), (("inspect", "missing.wasm"), "missing.wasm: No such file"), (("inspect", "."), ".: Is a directory"),
            (("inspct",), "Did you mean `seam wasm inspect`?"), (("inspect", "math.wat", "--jsn"), "--json")):
            self.assertIn(words, self.seam(*arguments, code=2)[1])


class Run(WasmTest):
    def test_a_command_gets_what_it_is_given_and_nothing_else(self):
        for engine, mode, flags in self.engines():
            with self.subTest(engine=engine["name"], mode=mode["mode"]):
                out, error = self.seam("run", "guest.wasm", *flags, "--env", "A=1", "--env", "B=two words", "show", "x", "--", "-v", "--json")
                self.assertEqual(out, "arg guest.wasm\narg show\narg x\narg -v\narg --json\nenv A=1\nenv B=two words\n")
                self.assertEqual(error, "on stderr\n")
                self.assertEqual(self.seam("run", "guest.wasm", *flags, "show")[0], "arg guest.wasm\narg show\n")
                self.seam("run", "guest.wasm", *flags, "exit", "7", code=7)

    def test_a_trap_has_its_kind_and_where_it_was(self):
        for engine, mode, flags in self.engines():
            with self.subTest(engine=engine["name"], mode=mode["mode"]):
                out, error = self.seam("run", "guest.wasm", *flags, "trap", code=134)
                self.assertEqual(out, "before\n")
                self.assertIn("guest.wasm: Trapped (Unreachable): ", error)
                told = self.json("run", "math.wat", *flags, "--invoke", "divide", "1", "0", code=134)
                self.assertEqual((told["error"]["code"], told["error"]["trap"]), ("Trapped", "IntegerDivisionByZero"))
                if told["error"]["backtrace"] or engine["name"] != "wasmi":  # wasmi keeps none
                    self.assertEqual(told["error"]["backtrace"][0]["function"], "down")
                    self.assertIn("at fall_over (function ", error)

    def test_limits_end_it(self):
        for engine, mode, flags in self.engines():
            with self.subTest(engine=engine["name"], mode=mode["mode"]):
                _, error = self.seam("run", "guest.wasm", *flags, "--timeout-ms", "100", "spin", code=124)
                self.assertIn("DeadlineExceeded", error)
                self.assertRegex(self.seam("run", "guest.wasm", *flags, "--memory-bytes", "8MiB", "grow")[0], r"^[4-7] MiB\n$")
                _, error = self.seam("run", "math.wat", *flags, "--memory-bytes", "1KiB", "--invoke", "grow", "1", code=137)
                self.assertIn("LimitExceeded", error)
                self.assertEqual(self.seam("run", "math.wat", *flags, "--memory-bytes", "128KiB", "--invoke", "grow", "2")[0], "-1\n")
                if mode["fuel"]:
                    _, error = self.seam("run", "guest.wasm", *flags, "--fuel", "100000", "spin", code=137)
                    self.assertIn("LimitExceeded", error)
                    told = self.json("run", "math.wat", *flags, "--fuel", "1000", "--invoke", "add", "1", "2")
                    self.assertTrue(0 < told["fuel_left"] < 1000, told["fuel_left"])
                else:
                    self.seam("run", "guest.wasm", *flags, "--fuel", "100000", "spin", code=NOT_BEGUN)

    def test_waiting_for_input_ends_with_the_time(self):
        read, write = os.pipe()
        try:
            done = subprocess.run([str(SEAM), "wasm", "run", "guest.wasm", "--timeout-ms", "300", "echo"], stdin=read, capture_output=True,
                                  cwd=self.path, check=False)
        finally:
            os.close(read), os.close(write)
        self.assertEqual((done.returncode, done.stdout), (124, b"ready\n"), done.stderr)

    def test_an_export_is_called_with_its_params(self):
        for engine, mode, flags in self.engines():
            with self.subTest(engine=engine["name"], mode=mode["mode"]):
                run = ("run", "math.wat", *flags, "--invoke")
                self.assertEqual(self.seam(*run, "add", "20", "22")[0], "42\n")
                self.assertEqual(self.seam(*run, "add", "--", "-2147483648", "0xffffffff")[0], "2147483647\n")
                self.assertEqual(self.seam(*run, "mix", "18446744073709551615", "1.5", "1e300")[0], "1e+300\n-1\n1.5\n")
                self.assertEqual(self.seam(*run, "nan")[0], "nan\n")
        told = self.json("run", "math.wat", "--invoke", "mix", "1", "2", "3")
        self.assertEqual(told["results"], [{"type": "f64", "value": "3"}, {"type": "i64", "value": "1"}, {"type": "f32", "value": "2"}])
        self.assertEqual((told["outcome"], told["exit_code"], told["engine"], told["memory_bytes"]), ("returned", 0, "wasmtime", 65536))

    def test_output_appears_as_it_is_written_and_input_is_read_as_it_comes(self):
        for engine, mode, flags in self.engines():
            with self.subTest(engine=engine["name"], mode=mode["mode"]):
                guest = subprocess.Popen([str(SEAM), "wasm", "run", "guest.wasm", *flags, "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.path)
                with guest:
                    self.assertEqual(guest.stdout.readline(), b"ready\n")  # it runs on: nothing else would be answered
                    for word in (b"one\n", b"two\n"):
                        guest.stdin.write(word)
                        guest.stdin.flush()
                        self.assertEqual(guest.stdout.readline(), b"got " + word)
                    guest.stdin.close()
                    self.assertEqual(guest.wait(), 0)

    def test_a_terminal_is_one_to_the_guest(self):
        # Not in whole buffers: what is printed without a flush is there before the guest asks for input.
        self.write("prompt.wasm", compiled('#include <stdio.h>\nint main(void) { char line[9]; puts("name?"); fgets(line, 9, stdin); printf("hello %s", line); return 0; }'))
        ours, theirs = os.openpty()
        guest = subprocess.Popen([str(SEAM), "wasm", "run", "prompt.wasm"], stdin=subprocess.PIPE, stdout=theirs, cwd=self.path)
        os.close(theirs)
        try:
            def line():
                text = b""
                while not text.endswith(b"\n"):
                    text += os.read(ours, 1)
                return text
            self.assertEqual(line(), b"name?\r\n")
            guest.communicate(b"Ada\n")
            self.assertEqual(line(), b"hello Ada\r\n")
        finally:
            guest.kill()
            guest.wait()
            os.close(ours)

    def test_nobody_reads_it_any_more(self):
        done = subprocess.run(["bash", "-c", f"{SEAM} wasm run guest.wasm yes | head -n 2; echo ${{PIPESTATUS[0]}}"], capture_output=True, cwd=self.path, check=True)
        self.assertEqual((done.stdout, done.stderr), (b"y\ny\n141\n", b""))

    def test_directories_are_what_was_named(self):
        data = self.path / "data"
        data.mkdir(exist_ok=True)
        (data / "a.txt").write_text("inside\n")
        self.write("outside.txt", "outside\n")
        (data / "link").unlink(missing_ok=True)
        (data / "link").symlink_to("../outside.txt")
        run = ("run", "guest.wasm")
        for engine, mode, flags in self.engines():
            with self.subTest(engine=engine["name"], mode=mode["mode"]):
                self.assertEqual(self.seam(*run, *flags, "--dir", "data::/d", "cat", "/d/a.txt")[0], "inside\n")
                self.assertEqual(self.seam(*run, *flags, "--dir", "data", "cat", "data/a.txt")[0], "inside\n")
                for path in ("/d/../outside.txt", "/d/link", "/etc/passwd", "outside.txt"):
                    out, _ = self.seam(*run, *flags, "--dir", "data::/d", "cat", path, code=1)
                    self.assertNotIn("outside\n", out)
                (data / "b.txt").unlink(missing_ok=True)
                self.assertEqual(self.seam(*run, *flags, "--dir", "data::/d", "append", "/d/b.txt")[0], "1 bytes\n")
                self.seam(*run, *flags, "--dir", "data::/d::ro", "append", "/d/b.txt", code=1)
        self.assertEqual((data / "b.txt").read_text(), "x")
        _, error = self.seam(*run, "--dir", "nowhere::/d", "cat", "/d/a.txt", code=NOT_BEGUN)
        self.assertIn("nowhere", error)

    def test_mistakes_name_the_flag_and_the_remedy(self):
        for arguments, words in (
            ((), "Give a file"),
            (("missing.wasm",), "missing.wasm: No such file"),
            (("guest.wasm", "--engine", "wasmtim"), "--engine: \"wasmtim\" is no WebAssembly engine of this build. Give wasmtime"),
            (("guest.wasm", "--engine", "wasmtim"), "Did you mean wasmtime?"),
            (("guest.wasm", "--mode", "cranelft"), "Did you mean cranelift?"),
            (("guest.wasm", "--timeout-ms", "soon"), "--timeout-ms \"soon\": give a whole number from 1 on."),
            (("guest.wasm", "--memory-bytes", "much"), "--memory-bytes: "),
            (("guest.wasm", "--fuel", "0"), "--fuel \"0\": give a whole number from 1 on."),
            (("guest.wasm", "--env", "A"), "--env A: write NAME=VALUE."),
            (("guest.wasm", "--dir", ""), "--dir "),
            (("guest.wasm", "--engin", "x"), "Did you mean --engine?"),
            (("math.wat",), "it exports no function _start, so it is no command. Name an export by --invoke. It exports add, mix, grow, nan, divide."),
            (("math.wat", "--invoke", "sub"), "it exports no function sub"),
            (("math.wat", "--invoke", "add", "1"), "add is (i32, i32) -> i32: give it 2 params, not 1."),
            (("math.wat", "--invoke", "add", "1", "x"), "\"x\" is no i32"),
            (("math.wat", "--invoke", "add", "1", "4294967296"), "\"4294967296\" is no i32"),
        ):
            with self.subTest(arguments=arguments):
                self.assertIn(words, self.seam("run", *arguments, code=NOT_BEGUN)[1])
        self.write("import.wat", '(module (import "env" "print" (func (param i32))) (func (export "_start")))')
        for engine, mode, flags in self.engines():
            _, error = self.seam("run", "import.wat", *flags, code=NOT_BEGUN)
            self.assertIn("ModuleInstantiateFailed", error)
            self.assertIn("print", error)

    def test_a_signal_ends_it(self):
        guest = subprocess.Popen([str(SEAM), "wasm", "run", "guest.wasm", "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=self.path)
        with guest:
            guest.stdout.readline()
            guest.send_signal(signal.SIGINT)
            self.assertEqual(guest.wait(), -signal.SIGINT)


class Compare(WasmTest):
    def test_all_engines_end_alike(self):
        told = self.json("compare", "guest.wasm", "--repeat", "2", "echo", stdin=b"a\nb\n")
        self.assertTrue(told["same"])
        self.assertEqual([(run["engine"], run["mode"]) for run in told["runs"]], [(engine["name"], mode["mode"]) for engine, mode, _ in self.engines()])
        self.assertEqual({run["output_hash"] for run in told["runs"]}, {told["runs"][0]["output_hash"]})
        for run in told["runs"]:
            self.assertEqual((run["outcome"], run["output_bytes"]), ("returned", len("ready\ngot a\ngot b\n")))
            self.assertGreater(run["guest_memory_bytes"], 65535)
            self.assertGreater(run["compile_ms"] + run["run_ms"], 0)
        out, _ = self.seam("compare", "guest.wasm", "--repeat", "1", "echo")
        self.assertRegex(out, r"All \d+ end alike\." if len(told["runs"]) > 1 else "One engine ran.")

    def test_time_and_chance_are_the_same_for_each(self):
        self.assertTrue(self.json("compare", "guest.wasm", "--repeat", "2", "chance")["same"])

    def test_a_failure_that_is_the_same_is_no_difference(self):
        told = self.json("compare", "math.wat", "--repeat", "1", "--invoke", "divide", "1", "0")
        self.assertEqual({run["outcome"] for run in told["runs"]}, {"Trapped (IntegerDivisionByZero)"})

    def test_it_says_loudly_where_they_differ(self):
        # Each run finds one byte more in the file, so no two can end alike.
        data = self.path / "count"
        data.mkdir()
        count = ("compare", "guest.wasm", "--repeat", "1", "--dir", "count::/d", "append", "/d/n")
        if len(list(self.engines())) > 1:
            out, _ = self.seam(*count, code=1)
            self.assertIn("THE ENGINES DIFFER:", out)
            told = self.json(*count, code=1)
            self.assertFalse(told["same"])
            self.assertEqual(len({run["output_hash"] for run in told["runs"]}), len(told["runs"]))
        told = self.json("compare", "guest.wasm", "--engine", "wasmtime", "--mode", "cranelift", "--repeat", "3", "--dir", "count::/d", "append", "/d/n", code=1)
        self.assertTrue(told["runs"][0]["varies"])

    def test_what_some_engines_refuse_is_a_difference(self):
        self.write("none.wat", '(module (import "env" "none" (func)) (func (export "_start")))')
        told = self.json("compare", "none.wat", "--repeat", "1", code=1)
        self.assertTrue(all("ModuleInstantiateFailed" in run["refused"] for run in told["runs"]))

    def test_mistakes(self):
        for arguments, words in (((), "Give a file"), (("math.wat", "--repeat", "0"), "--repeat \"0\": give a whole number from 1 to 10000."),
                                 (("math.wat", "--engine", "v8"), '--engine: "v8" is no WebAssembly engine of this build'),
                                 (("math.wat",), "exports no _start, so there is nothing to run on any engine. It is no command"),
                                 (("math.wat", "--invoke", "subtract"), "math.wat exports no subtract")):
            self.assertIn(words, self.seam("compare", *arguments, code=2)[1])


if __name__ == "__main__":
    unittest.main()
