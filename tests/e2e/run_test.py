"""`seam run`: a function served while it is written. Every change here is made as an editor, git or a compiler makes it."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

from seam_run import Run, module
from seam_server import SEAM, children_of, wait_until

NODE = "module.exports = async (event) => ({{said: '{}'}});\n"
PYTHON = "def handle(params):\n    print('got', params)\n    return {{'said': '{}'}}\n"


class RunTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="seam-test-files-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def replace(self, name, text):
        """As editors do: beside it, then in its place."""
        new = self.write(name + ".new~", text)
        os.replace(new, self.folder / name)

    def said(self, run):
        status, body = run.invoke()
        self.assertEqual(status, 200, body)
        return body["result"]["said"]

    def test_each_language_answers_with_what_was_written_last(self):
        for name, content in (("greet.js", NODE.format), ("greet.py", PYTHON.format), ("greet.wasm", module)):
            with self.subTest(file=name):
                path = self.write(name, content("one"))
                with Run(path) as run:
                    run.ready()
                    self.assertEqual(self.said(run), "one")
                    self.replace(name, content("two"))
                    run.wait_for("reloaded", version=2)
                    self.assertEqual(self.said(run), "two")
                    self.write(name, content("three"))  # in place
                    run.wait_for("reloaded", version=3)
                    self.assertEqual(self.said(run), "three")

    def test_a_broken_version_is_shown_and_the_one_before_keeps_answering(self):
        path = self.write("greet.js", NODE.format("one"))
        with Run(path) as run:
            run.ready()
            self.replace("greet.js", "module.exports = async (event) => {\n  return {said: ;\n};\n")
            failed = run.wait_for("reload_failed", serving_version=1)
            self.assertEqual(failed["place"], "greet.js:2:17")
            self.assertIn("SyntaxError", failed["message"])
            self.assertIn("    2 |   return {said: ;\n", failed["excerpt"])
            self.assertEqual(self.said(run), "one")
            self.replace("greet.js", NODE.format("two"))
            run.wait_for("reloaded", version=2)
            self.assertEqual(self.said(run), "two")

    def test_it_waits_for_a_first_version_that_loads(self):
        path = self.write("greet.py", "def handle(params:\n")
        with Run(path) as run:
            run.url = run.wait_for("listening")["url"]
            run.function = "python-greet"
            failed = run.wait_for("reload_failed")
            self.assertIsNone(failed["serving_version"])
            self.assertTrue(failed["place"].startswith("greet.py:1"), failed)
            self.assertEqual(run.invoke()[0], 404)
            self.replace("greet.py", PYTHON.format("one"))
            run.wait_for("reloaded", version=1)
            self.assertEqual(self.said(run), "one")

    def test_a_file_may_go_come_back_and_be_unreadable_or_empty_meanwhile(self):
        path = self.write("greet.js", NODE.format("one"))
        with Run(path) as run:
            run.ready()
            path.unlink()
            self.assertIn("No such file", run.wait_for("reload_failed", serving_version=1)["message"])
            self.assertEqual(self.said(run), "one")
            self.write("greet.js", "")
            self.assertIn("is empty", run.wait_for("reload_failed", serving_version=1)["message"])
            self.replace("greet.js", NODE.format("one"))
            run.wait_for("reloaded", version=2)
            if os.geteuid() != 0:
                path.chmod(0)
                self.assertIn("Permission denied", run.wait_for("reload_failed")["message"])
                path.chmod(0o644)
                run.wait_for("reloaded", version=3)
            with path.open("wb") as file:
                file.truncate(2 << 20)
            self.assertIn("bytes: at most", run.wait_for("reload_failed")["message"])
            with path.open("wb") as file:
                file.truncate(1 << 40)  # a terabyte, of which nothing is read
            self.assertIn("bytes: at most", run.wait_for("reload_failed")["message"])
            self.replace("greet.js", NODE.format("last"))
            run.wait_for("reloaded")
            self.assertEqual(self.said(run), "last")

    def test_what_is_the_same_is_no_new_version(self):
        path = self.write("greet.js", NODE.format("one"))
        with Run(path) as run:
            run.ready()
            path.touch()
            self.write("other.js", "not mine")
            self.replace("greet.js", NODE.format("one"))
            self.replace("greet.js", NODE.format("two"))
            run.wait_for("reloaded")
            self.assertEqual(run.events[-1]["version"], 2)

    def test_calls_are_shown_with_their_lines_before_them(self):
        path = self.write("greet.py", "import sys\ndef handle(params):\n    print('to stdout')\n"
                          "    print('to stderr', file=sys.stderr)\n    return params['x'] + 1\n")
        with Run(path) as run:
            run.ready()
            self.assertEqual(run.invoke({"x": 1})[0], 200)
            call = run.wait_for("call")
            self.assertEqual((call["status"], call["result"], call["function"]), (200, 2, "python-greet"))
            lines = [(event["log"]["stream"], event["log"]["text"]) for event in run.events if event["event"] == "log"]
            self.assertEqual(lines, [("stdout", "to stdout"), ("stderr", "to stderr")])
            self.assertEqual(run.invoke({"x": "text"})[0], 500)
            failed = run.wait_for("call")
            self.assertEqual(failed["error"]["code"], "RUNTIME_ERROR")
            self.assertIn("TypeError", failed["error"]["message"])
            self.assertIn("line 5", failed["error"]["stack_trace"])

    def test_lines_come_while_the_call_still_runs(self):
        path = self.write("slow.js", "module.exports = async (event) => { console.log('begun');"
                          " await new Promise((done) => setTimeout(done, 600000)); };\n")
        with Run(path, "--params", "{}") as run:
            run.ready()
            self.assertEqual(run.wait_for("log")["log"]["text"], "begun")
            self.assertNotIn("call", [event["event"] for event in run.events])
            self.replace("slow.js", NODE.format("quick"))  # which ends the call with the params of before
            self.assertEqual(run.wait_for("result", version=2)["result"], {"said": "quick"})

    def test_params_are_tried_after_each_change(self):
        path = self.write("sum.py", "def handle(params):\n    return params['a'] + params['b']\n")
        with Run(path, "--params", '{"a": 20, "b": 3}') as run:
            run.ready()
            self.assertEqual(run.wait_for("result", version=1)["result"], 23)
            self.replace("sum.py", "def handle(params):\n    return params['a'] * params['b']\n")
            self.assertEqual(run.wait_for("result", version=2)["result"], 60)

    def test_a_folder_with_modules_and_new_subfolders(self):
        self.write("package.json", '{"private": true, "main": "index.js"}')
        self.write("node_modules/left/index.js", "module.exports = 'left';\n")
        self.write("index.js", "const said = require('left') + require('./lib/word');\n"
                   "module.exports = async () => ({said});\n")
        self.write("lib/word.js", "module.exports = ' one';\n")
        with Run(self.folder, "nodejs-words") as run:
            run.ready()
            self.assertEqual(self.said(run), "left one")
            self.write("lib/word.js", "module.exports = ' two';\n")
            run.wait_for("reloaded", version=2)
            self.assertEqual(self.said(run), "left two")
            self.write("lib/deep/er/word.js", "module.exports = ' three';\n")
            run.wait_for("reloaded")
            self.write("lib/word.js", "module.exports = require('./deep/er/word');\n")
            while self.said(run) != "left three":
                run.wait_for("reloaded")
            self.write("lib/deep/er/word.js", "module.exports = ;\n")
            failed = run.wait_for("reload_failed")
            self.assertIn("SyntaxError", failed["message"])
            self.assertIn("lib/deep/er/word.js:1", failed["excerpt"])
            self.assertEqual(self.said(run), "left three")

    def test_a_manifest_is_of_the_function_and_may_rename_it(self):
        self.write("main.py", "import os\ndef handle(params):\n    return {'said': os.environ['WORD']}\n")
        manifest = ("name: python-{}\nenvironment: {{WORD: {}}}\nschema: {{params: {{required: [x]}}}}\n")
        self.write("seam.function.yaml", manifest.format("first", "one"))
        with Run(self.folder) as run:
            run.ready()
            self.assertEqual(run.function, "python-first")
            self.assertEqual(run.invoke({"x": 1})[1]["result"], {"said": "one"})
            self.assertEqual(run.invoke({})[1]["error"]["code"], "INVALID_PARAMS")
            self.assertEqual(run.wait_for("call", status=400)["error"]["code"], "INVALID_PARAMS")
            self.replace("seam.function.yaml", manifest.format("second", "two"))
            self.assertEqual(run.wait_for("renamed")["function"], "python-second")
            self.assertEqual(run.invoke({"x": 1}, "python-second")[1]["result"], {"said": "two"})
            wait_until(lambda: run.invoke({"x": 1}, "python-first")[0] == 404)
            self.replace("seam.function.yaml", "nome: python-second\n")
            self.assertIn("Did you mean name?", run.wait_for("reload_failed")["message"])

    def test_a_build_runs_when_its_sources_change(self):
        self.write("word.txt", "one")
        self.write("seam.function.yaml", "name: python-built\nbuild: sh build.sh\n")
        self.write("build.sh", "grep -q . word.txt || { echo 'word.txt:1: no word' >&2; exit 1; }\n"
                   "printf \"def handle(params):\\n    return {'said': '%s'}\\n\" \"$(cat word.txt)\" > main.py\n")
        with Run(self.folder) as run:
            run.ready()
            self.assertEqual(self.said(run), "one")
            self.write("word.txt", "two")
            while self.said(run) != "two":  # the word may be copied just before what is built of it
                run.wait_for("reloaded")
            self.write("word.txt", "")
            self.assertIn("word.txt:1: no word", run.wait_for("reload_failed")["message"])
            self.assertEqual(self.said(run), "two")

    def test_many_changes_at_once_end_with_the_last(self):
        for i in range(50):
            self.write(f"lib/part{i}.js", "module.exports = 'old';\n")
        self.write("index.js", "const parts = Array.from({length: 50}, (_, i) => require('./lib/part' + i));\n"
                   "module.exports = async () => ({said: [...new Set(parts)].join()});\n")
        with Run(self.folder, "nodejs-many") as run:
            run.ready()
            for i in range(50):
                self.replace(f"lib/part{i}.js", "module.exports = 'new';\n")
            while self.said(run) != "new":
                run.wait_for("reloaded")

    def test_it_ends_cleanly_and_leaves_nothing(self):
        path = self.write("greet.py", PYTHON.format("one"))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(signal=number), Run(path) as run:
                run.ready()
                self.said(run)
                workers = children_of(run.process.pid)
                self.assertGreater(len(workers), 0)
                self.assertEqual(len(list(pathlib.Path(run.tmp).glob("seam-run-*"))), 1)
                self.assertEqual(run.stop(number), 0)
                self.assertEqual(os.listdir(run.tmp), [])
                wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in workers))

    def test_what_a_killed_one_left_is_removed_by_the_next(self):
        path = self.write("greet.py", PYTHON.format("one"))
        with tempfile.TemporaryDirectory(prefix="seam-test-run-") as tmp:
            os.chmod(tmp, 0o755)
            with Run(path, tmp=tmp) as run:
                run.ready()
                run.stop(signal.SIGKILL)
            self.assertEqual(len(os.listdir(tmp)), 1)
            others = [pathlib.Path(tmp, name) for name in ("seam-run-abcdef", "seam-run-of-mine")]
            for other in others:  # that are called so and are nobody's data
                other.mkdir()
            with Run(path, tmp=tmp) as run, Run(path, tmp=tmp) as other:
                run.ready()
                other.ready()
                self.assertEqual(len(os.listdir(tmp)), 4)  # each its own
            self.assertEqual(sorted(os.listdir(tmp)), sorted(other.name for other in others))

    def test_it_listens_on_loopback_alone_and_takes_another_port_where_its_own_is_taken(self):
        path = self.write("greet.py", PYTHON.format("one"))
        with Run(path, port=None) as run:
            run.ready()
            with Run(path, port=None) as other:
                other.ready()
                self.assertNotEqual(run.url, other.url)
                for each in (run, other):
                    self.assertTrue(each.url.startswith("http://127.0.0.1:"))
                    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
                    mine = [line.split()[3] for line in listening.splitlines() if f"pid={each.process.pid}," in line]
                    self.assertEqual(mine, [each.url.removeprefix("http://")])

    def test_the_output_for_people(self):
        path = self.write("greet.js", "module.exports = async () => { console.log('a\\u001b[2Jb'); return {said: 'hi'}; };\n")
        with Run(path, json_lines=False) as run:
            lines = [run.next_line() for _ in range(5)]
            self.assertEqual(lines[0], f"nodejs-greet from {path}\n")
            run.url = lines[1].split()[1]
            run.function = "nodejs-greet"
            self.assertEqual(lines[2], f"  try    curl -s {run.url}/api/v1/functions/nodejs-greet/invoke --json '{{\"params\": {{}}}}'\n")
            self.assertRegex(lines[4], r"^\d\d:\d\d:\d\d  version 1 answers \(\d+ ms\)\n$")
            command = lines[2].split("try", 1)[1].strip()
            answer = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True).stdout
            self.assertEqual(json.loads(answer)["result"], {"said": "hi"})
            self.assertEqual(run.next_line(), "          | a\\x1b[2Jb\n")
            self.assertRegex(run.next_line(), r'^\d\d:\d\d:\d\d  invoke 200  [\d.]+ ms  \{"said":"hi"\}\n$')


class RefusalTest(unittest.TestCase):
    """What cannot be served ends it at once, with the exit code of every command."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="seam-test-files-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def refused(self, *arguments, code=2, environment=None):
        result = subprocess.run([str(SEAM), "run", *map(str, arguments)], capture_output=True, text=True, timeout=60,
                                stdin=subprocess.DEVNULL, cwd=self.folder,
                                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **(environment or {})})
        self.assertEqual((result.returncode, result.stdout), (code, ""), result.stderr)
        return result.stderr

    def test_wrong_paths_and_flags(self):
        (self.folder / "notes.txt").write_text("x")
        (self.folder / "f.js").write_text("return 1;")
        (self.folder / "empty").mkdir()
        self.assertEqual(self.refused(), "Give a file or a folder: seam run greet.js\n")
        self.assertIn("cannot read missing.js: No such file", self.refused("missing.js"))
        self.assertIn("end it in .js, .py, .rs or .wasm", self.refused("notes.txt"))
        self.assertIn("what is to be deployed?", self.refused("empty"))
        self.assertIn("not a loopback address", self.refused("f.js", "--host", "0.0.0.0"))
        self.assertIn("keeps nothing", self.refused("f.js", "--data", "/tmp/x"))
        self.assertIn("--params", self.refused("f.js", "--params", "{"))
        self.assertIn("is not a function's name", self.refused("f.js", "nodejs-a b"))

    def test_a_language_without_a_runtime(self):
        (self.folder / "seam.function.yaml").write_text("runtime: model\n")
        (self.folder / "index.js").write_text("module.exports = () => 1;\n")
        self.assertIn("no runtime 'model'", self.refused(".", "nodejs-x"))

    def test_a_port_that_is_taken(self):
        (self.folder / "f.js").write_text("return 1;")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assertIn(f"port {port} of 127.0.0.1 is taken", self.refused("f.js", "--port", port, code=1))

    def test_no_room_for_its_folder(self):
        (self.folder / "f.js").write_text("return 1;")
        message = self.refused("f.js", code=1, environment={"TMPDIR": "/nonexistent"})
        self.assertIn("set TMPDIR to a folder with room", message)


if __name__ == "__main__":
    unittest.main()
