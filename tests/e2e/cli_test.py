"""`seam functions`, `seam sessions` and the completions, by a real server and real shells."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from seam_server import SEAM, Server

ADD = "console.log('adding'); return {sum: event.params.a + event.params.b};"
NUMBERS = {"type": "object", "required": ["a", "b"], "properties": {"a": {"type": "number"}, "b": {"type": "number"}}}


class CliTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.folder = tempfile.TemporaryDirectory(prefix="seam-cli-")
        cls.path = pathlib.Path(cls.folder.name)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        cls.server._folder.cleanup()
        cls.folder.cleanup()

    def seam(self, *arguments, code=0, stdin=None, url=True):
        command = [str(SEAM), *arguments]
        if url:
            command += ["--url", f"http://127.0.0.1:{self.server.port}"]
        done = subprocess.run(command, input=stdin, capture_output=True, cwd=self.path, env={"PATH": os.environ["PATH"]}, check=False)
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        return done.stdout.decode(), done.stderr.decode()

    def write(self, name, content):
        data = content if isinstance(content, (str, bytes)) else json.dumps(content)
        (self.path / name).write_bytes(data.encode() if isinstance(data, str) else data)
        return name


class Functions(CliTest):
    def test_the_life_of_a_function(self):
        self.write("sum.js", ADD)
        self.write("schema.json", {"params": NUMBERS, "result": {"required": ["sum"]}})
        examples = [{"name": "small", "params": {"a": 1, "b": 2}, "result": {"sum": 3.0}},
                    {"name": "a text", "params": {"a": "1", "b": 2}, "error": {"code": "INVALID_PARAMS", "message": "/a"}}]
        self.write("examples.json", examples)
        out, _ = self.seam("functions", "put", "nodejs-sum", "sum.js", "--schema", "schema.json", "--examples", "examples.json",
                           "--description", "Adds it's numbers.", "--tag", "math", "--tag", "e2e", "--env", "REGION=eu", "--limit", "memory_bytes_max=128MiB",
                           "--limit", "timeout_ms=5000", "--concurrency", "2", "--cacheable", "--idempotent")
        self.assertIn("nodejs-sum is there, and answers calls.", out)
        self.assertIn("""seam invoke nodejs-sum --params '{"a": 1, "b": 2}'""", out)
        function = json.loads(self.seam("functions", "get", "nodejs-sum", "--json")[0])
        self.assertEqual((function["tags"], function["description"], function["schema"]["params"]), (["math", "e2e"], "Adds it's numbers.", NUMBERS))
        options = function["implementations"][0]["options"]
        self.assertEqual((options["concurrency"], options["cacheable"], options["idempotent"], options["environment"]), (2, True, True, {"REGION": "***"}))
        self.assertEqual((options["limits"]["memory_bytes_max"], options["limits"]["timeout_ms"]), (128 << 20, 5000))
        out, _ = self.seam("functions", "get", "nodejs-sum")
        for words in ("Adds it's numbers.", "runtime", "nodejs", "params", "examples"):
            self.assertIn(words, out)
        self.assertRegex(self.seam("functions", "list")[0], r"nodejs-sum +1 +\d{4}-.* Adds it's numbers\.")

        out, _ = self.seam("functions", "check", "nodejs-sum")
        self.assertIn("All 2 examples of nodejs-sum answer as they say.", out)

        out, _ = self.seam("functions", "put", "nodejs-sum", "-", "--examples", json.dumps(examples[:1]), stdin=b"return {sum: 4, more: [1]};")
        self.assertIn("nodejs-sum has version 2 now", out)
        self.assertIn("seam functions route nodejs-sum 1\n", out)
        out, _ = self.seam("functions", "check", "nodejs-sum", code=1)
        self.assertIn("/sum: expected 3.0, got 4", out)
        self.assertIn("/more: expected nothing, got [1]", out)
        self.assertIn("1 of 1 examples of nodejs-sum do not answer as they say.", out)
        checked = json.loads(self.seam("functions", "check", "nodejs-sum", "--json", code=1)[0])
        self.assertEqual((checked["passed"], checked["failed"], checked["examples"][0]["got"]), (0, 1, {"sum": 4, "more": [1]}))

        self.assertRegex(self.seam("functions", "versions", "nodejs-sum")[0], r"(?m)^2 .*answers calls$")
        self.assertEqual(self.seam("functions", "route", "nodejs-sum", "1")[0], "Calls of nodejs-sum go to version 1 now.\n")
        self.assertRegex(self.seam("functions", "versions", "nodejs-sum")[0], r"(?m)^1 .*answers calls$")
        self.seam("functions", "check", "nodejs-sum")
        _, error = self.seam("invoke", "nodejs-sum", "--params", '{"a": "x", "b": 2}', code=2)
        self.assertIn('INVALID_PARAMS: params at /a is "x": must be a number\n  /a is "x": must be a number\n', error)

        self.assertEqual(self.seam("functions", "delete", "nodejs-sum")[0], "nodejs-sum is gone, with all its versions.\n")
        _, error = self.seam("functions", "get", "nodejs-sum", code=2)
        self.assertIn("NOT_FOUND", error)

    def test_every_example_of_a_fresh_server_passes(self):
        functions = json.loads(self.seam("functions", "list", "--json")[0])["functions"]
        examples = [f["language_title"] for f in functions if "example" in f["tags"]]
        self.assertGreaterEqual(len(examples), 3)
        for name in examples:
            self.seam("functions", "check", name)

    def test_more_functions_than_a_page_are_listed(self):
        for i in range(101):
            self.server.call("PUT", f"/api/v1/functions/nodejs-page{i}", {"content": "return 1"})
        listed = json.loads(self.seam("functions", "list", "--language", "nodejs", "--json")[0])
        self.assertEqual(listed["total"], len(listed["functions"]))
        self.assertGreaterEqual(sum("-page" in f["language_title"] for f in listed["functions"]), 101)
        for i in range(101):
            self.server.call("DELETE", f"/api/v1/functions/nodejs-page{i}")

    def test_bytes_that_are_no_text_are_sent_as_they_are(self):
        self.write("empty.wasm", b"\0asm\1\0\0\0")
        _, error = self.seam("functions", "put", "wasm-empty", "empty.wasm", code=2)
        self.assertIn("INVALID_REQUEST", error)  # a module, but one without an entry
        self.assertNotIn("base64", error)

    def test_mistakes_name_the_flag_and_the_remedy(self):
        self.write("a.js", "return 1")
        for arguments, words in (
            (("functions",), "seam functions COMMAND"),
            (("functions", "lst"), "Did you mean `seam functions list`?"),
            (("functions", "get"), "Give the name of a function"),
            (("functions", "put", "nodejs-a"), "Give the file too"),
            (("functions", "put", "nodejs-a", "missing.js"), "missing.js: No such file"),
            (("functions", "put", "nodejs-a", "a.js", "--env", "A"), "--env A: write NAME=VALUE."),
            (("functions", "put", "nodejs-a", "a.js", "--schema", "{"), "--schema {: not valid JSON"),
            (("functions", "put", "nodejs-a", "a.js", "--limit", "memory_bytes_max=much"), "--limit memory_bytes_max=much: write NAME=NUMBER"),
            (("functions", "put", "nodejs-a", "a.js", "--limit", "timeout_ms"), "--limit timeout_ms: write NAME=NUMBER"),
            (("functions", "put", "nodejs-a", "a.js", "--limit", "speed=1"), "limits.speed is not a limit"),
            (("functions", "put", "nodejs-a", "a.js", "--concurrency", "some"), "--concurrency some: not a whole number."),
            (("functions", "route", "nodejs-a", "x"), "x: not a version."),
            (("functions", "check", "nodejs-a/b"), "not a function's name"),
            (("sessions", "get", "x"), "x: not a session's id."),
            (("completions", "fish"), "fish: give the shell, bash or zsh"),
        ):
            grouped = len(arguments) > 1 and arguments[1] != "lst" and arguments[0] != "completions"
            _, error = self.seam(*arguments, code=2, url=grouped)
            self.assertIn(words, error)
        _, error = self.seam("functions", "list", "--url", "http://127.0.0.1:1", code=3, url=False)
        self.assertIn("Start it: seam serve", error)

    def test_every_command_has_help_with_an_example(self):
        for group, commands in (("functions", "list get put delete versions route check"), ("sessions", "list get delete")):
            self.assertIn(f"seam {group} COMMAND", self.seam(group, "--help", url=False)[0])
            for command in commands.split():
                out = self.seam(group, command, "--help", url=False)[0]
                self.assertIn("Example:\n", out)
                self.assertIn(f"seam {group} {command}", out)


    def test_the_name_of_no_function_suggests_the_nearest(self):
        said = "NOT_FOUND: no function 'nodejs-calculatr'\nDid you mean nodejs-calculator?\n"
        for command in (("invoke", "{}"), ("functions", "get", "{}"), ("functions", "versions", "{}"), ("functions", "route", "{}", "1"),
                        ("functions", "check", "{}"), ("functions", "delete", "{}")):
            named = [word.format("nodejs-calculatr") for word in command]
            self.assertEqual(self.seam(*named, code=2)[1], said, named)
        for name in ("calculator", "python-calculator", "python-calcluator"):
            self.assertIn("\nDid you mean nodejs-calculator?\n", self.seam("invoke", name, code=2)[1])
        self.write("a.js", "return 1")
        self.seam("functions", "put", "js-calculator", "a.js")
        self.assertIn("\nDid you mean js-calculator or nodejs-calculator?\n", self.seam("invoke", "calculator", code=2)[1])
        self.seam("functions", "delete", "js-calculator")
        self.assertEqual(self.seam("invoke", "nodejs-elephant", code=2)[1], "NOT_FOUND: no function 'nodejs-elephant'\nSee all: seam functions list\n")
        # One that is there is not what is wrong.
        self.assertNotIn("mean", self.seam("functions", "route", "nodejs-calculator", "99", code=2)[1])
        self.assertNotIn("mean", self.seam("invoke", "nodejs-calculator", code=2)[1])
        out, error = self.seam("invoke", "nodejs-calculatr", "--json", code=2)
        self.assertEqual((json.loads(out)["error"]["code"], error), ("NOT_FOUND", ""))


class Health(CliTest):
    def test_a_server_that_is_well(self):
        out, _ = self.seam("health")
        self.assertIn(f"at http://127.0.0.1:{self.server.port} is ok\n", out)
        self.assertRegex(out, r"(?m)^  nodejs +up +/")
        self.assertIn("Workers are isolated", out)
        self.assertEqual(json.loads(self.seam("health", "--json")[0])["status"], "ok")
        self.assertEqual((self.seam("health", "--live")[0], self.seam("health", "--ready")[0]), ("ok\n", "ready\n"))

    def test_a_part_that_is_down_is_told_by_the_exit_code(self):
        with Server(arguments=["--runtimes-node-command", "/nowhere/node"]) as server:
            out, _ = self.seam("health", "--url", f"http://127.0.0.1:{server.port}", url=False, code=1)
            self.assertRegex(out, r"(?m)^  nodejs +down +.*/nowhere/node")
            # A probe that restarted it would not help.
            self.seam("health", "--ready", "--url", f"http://127.0.0.1:{server.port}", url=False)

    def test_where_no_server_answers(self):
        _, error = self.seam("health", "--ready", "--port", "1", url=False, code=3)
        self.assertIn("Start it: seam serve", error)


class Sessions(CliTest):
    def test_the_life_of_a_session(self):
        session = self.server.initialize("nodejs-x", "return 1")[1]["request_id"]
        self.server.execute(session)
        self.assertRegex(self.seam("sessions", "list")[0], rf"(?m)^{session}  nodejs-x +1 ")
        self.assertEqual(json.loads(self.seam("sessions", "list", "--json")[0])["sessions"][0]["request_id"], session)
        self.assertRegex(self.seam("sessions", "get", session)[0], r"(?m)^  calls +1$")
        self.assertEqual(self.seam("sessions", "delete", session)[0], f"Session {session} has ended.\n")
        self.assertIn("NOT_FOUND", self.seam("sessions", "get", session, code=2)[1])


class Completions(CliTest):
    def complete(self, line):
        """What bash offers for a line, by the function that `complete` has registered."""
        script = self.seam("completions", "bash", url=False)[0]
        words = line.split(" ")
        quoted = " ".join(f"'{word}'" for word in words)
        run = f"{script}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}; _seam; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        done = subprocess.run(["bash", "--norc", "-euc", run], capture_output=True, cwd=self.path, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, b""), run)
        return done.stdout.decode().split()

    def test_bash_completes_commands_flags_and_files(self):
        self.write("file.js", "")
        self.assertLessEqual({"serve", "invoke", "functions", "sessions", "completions"}, set(self.complete("seam ")))
        self.assertEqual(self.complete("seam fun"), ["functions"])
        self.assertEqual(self.complete("seam functions ch"), ["check"])
        self.assertIn("--schema", self.complete("seam functions put nodejs-a --s"))
        self.assertIn("file.js", self.complete("seam functions put nodejs-a fil"))
        self.assertIn("file.js", self.complete("seam functions put nodejs-a --schema fil"))
        self.assertEqual(self.complete("seam functions put nodejs-a --description fil"), [])
        self.assertIn("--port", self.complete("seam serve --po"))
        self.assertEqual(self.complete("seam functions nosuch --x"), [])

    def test_every_flag_of_every_command_is_completed(self):
        for command in ("serve", "invoke", "doctor", "functions put", "functions check", "sessions list"):
            help_text = self.seam(*command.split(), "--help", url=False)[0]
            shown = set(re.findall(r"(?m)^ +(?:-\w,)?(--[a-z-]+)", help_text))
            self.assertGreaterEqual(len(shown), 3, help_text)
            self.assertLessEqual(shown, set(self.complete(f"seam {command} --")), command)

    def test_zsh_completes_commands_and_flags(self):
        (self.path / "_seam").write_text(self.seam("completions", "zsh", url=False)[0])
        # Zsh completes only at a terminal of its own: zpty is one.
        run = f"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PS1=; fpath=({self.path} \\$fpath); autoload -U compinit; compinit -D -u; bindkey '^I' complete-word; echo re''ady"
zpty -r z line '*ready*'
zpty -w -n z $'seam functions che\\t'
zpty -r z line '*check*' && print completed: check
zpty -w -n z $'\\C-useam functions put --sche\\t'
zpty -r z line '*--schema*' && print completed: --schema
zpty -d z
"""
        done = subprocess.run(["zsh", "-f", "-c", run], capture_output=True, timeout=120, check=False, env={"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(self.path)})
        self.assertIn(b"completed: check", done.stdout, done.stderr)
        self.assertIn(b"completed: --schema", done.stdout, done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
