"""docs/wasm-engines.md: each configuration starts a server that has that engine, each wrong one is refused with what would be
right, and each command prints what stands below it."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import tempfile
import unittest

from seam_server import SEAM, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "wasm-engines.md").read_text()

GREET = r"""
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char** argv) {
  printf("%s, %s\n", getenv("GREETING"), argv[1]);
  if (argc < 3) return 0;
  FILE* file = fopen(argv[2], "r");
  for (int c; file && (c = getc(file)) != EOF;) putchar(c);
  return file == NULL;
}
"""
ADD = '(module (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))'


def marked(mark):
    return re.findall(rf"^<!-- {mark}:? ?([^\n]*?) ?-->\n```\w*\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Configurations(unittest.TestCase):
    def test_every_one_of_the_page_is_marked(self):
        self.assertEqual(len(marked("engine")) + len(marked("refused")), PAGE.count("```yaml"))
        self.assertGreater(len(marked("engine")), 4)

    def test_each_starts_a_server_that_has_that_engine(self):
        for engine, text in marked("engine"):
            with self.subTest(text=text), tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder, "seam.yaml")
                file.write_text(text)
                with Server(arguments=["--config", str(file)]) as server:
                    status, health = server.call("GET", "/health")
                    self.assertEqual((status, health["status"]), (200, "ok"), health)
                    self.assertIn(engine, json.dumps(health["details"]["runtimes"]["wasm"]))
                    status, answer = server.call("POST", "/api/v1/functions/wasm-text_stats/invoke", {"params": {"text": "one two"}})
                    self.assertEqual(status, 200, answer)

    def test_each_wrong_one_is_refused_with_what_would_be_right(self):
        for right, text in marked("refused"):
            with self.subTest(text=text), tempfile.TemporaryDirectory() as folder:
                file = pathlib.Path(folder, "seam.yaml")
                file.write_text(text)
                done = subprocess.run([str(SEAM), "serve", "--port", "0", "--config", str(file)], capture_output=True, text=True, check=False)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertRegex(done.stderr, r"seam\.yaml:[23]: runtime_config\.")
                for word in right.split(", "):
                    self.assertIn(word, done.stderr)


class Commands(unittest.TestCase):
    def test_each_prints_what_stands_below_it(self):
        count = 0
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder)
            (path / "greet.c").write_text(GREET)
            (path / "add.wat").write_text(ADD)
            (path / "notes").mkdir()
            (path / "notes" / "today.txt").write_text("buy milk\n")
            subprocess.run(["clang-19", "--target=wasm32-wasi", "-O1", "-fuse-ld=/usr/bin/wasm-ld-19", "greet.c", "-o", "greet.wasm"], cwd=path, check=True)
            for _, text in marked("run"):
                for command in re.split(r"^\$ seam ", text, flags=re.MULTILINE)[1:]:
                    line, _, output = command.partition("\n")
                    with self.subTest(command=line):
                        done = subprocess.run([str(SEAM), *shlex.split(line)], capture_output=True, text=True, cwd=path, check=False,
                                              env={"PATH": os.environ["PATH"]}, stdin=subprocess.DEVNULL)
                        # "…" stands for anything, and columns are as wide as they must be.
                        shown = r".*".join(re.escape(part) for part in re.sub(r" +", " ", output).split("…"))
                        self.assertRegex(re.sub(r" +", " ", done.stdout + done.stderr), re.compile(r"\A" + shown + r"\Z", re.DOTALL))
                        count += 1
        self.assertEqual(count, 5)


if __name__ == "__main__":
    unittest.main()
