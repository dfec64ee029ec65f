"""`seam new`: each template is made, run, called, deployed and checked as its user would."""

import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import unittest

from seam_run import Run
from seam_server import SEAM, Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("nodejs", "python", "rust", "wasm")


class NewTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.url = f"http://127.0.0.1:{cls.server.port}"
        cls.runtimes = cls.server.call("GET", "/health")[1]["components"]["runtimes"]

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="seam-new-test-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def seam(self, *arguments, code=0):
        result = subprocess.run([str(SEAM), *map(str, arguments)], capture_output=True, text=True, cwd=self.folder,
                                env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")})
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout if code == 0 else result.stderr

    def built_in(self, kind):
        """Whether what the template needs is here: a server without the runtime says so."""
        if self.runtimes.get(kind, "disabled") != "disabled":
            return True
        self.seam("new", kind, "slugs")
        self.assertIn(f"no runtime '{kind}'", self.seam("run", "slugs", code=2))
        return False

    def test_every_template_runs_and_is_deployed(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                self.addCleanup(shutil.rmtree, self.folder / "slugs", True)
                shutil.rmtree(self.folder / "slugs", ignore_errors=True)
                if not self.built_in(kind):
                    continue
                self.seam("new", kind, "slugs")
                with Run("slugs", cwd=self.folder) as run:
                    run.ready()
                    self.assertEqual(run.function, f"{kind}-slugs")
                    status, body = run.invoke({"title": "Hello,  World no. 2!"})
                    self.assertEqual((status, body.get("result")), (200, {"slug": "hello-world-no-2"}), body)
                    self.assertEqual(run.invoke({"title": "!?"})[1]["error"]["code"], "RUNTIME_ERROR")
                    self.assertEqual(run.invoke({})[1]["error"]["code"], "INVALID_PARAMS")
                    logged = run.wait_for("log")["log"]["text"]
                    self.assertEqual(logged, "the slug of Hello,  World no. 2! is hello-world-no-2")
                self.seam("deploy", "slugs", "--url", self.url)
                self.assertEqual(self.server.invoke(f"{kind}-slugs", {"title": "A b"})[1]["result"], {"slug": "a-b"})
                self.assertIn("All 2 examples", self.seam("functions", "check", f"{kind}-slugs", "--url", self.url))

    def test_the_files_are_those_of_the_tree_with_the_name_in_them(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                made = json.loads(self.seam("new", kind, f"{kind}-Image.Size-2", "--json"))
                folder = self.folder / "Image.Size-2"
                self.assertEqual((made["function"], made["folder"]), (f"{kind}-Image.Size-2", "Image.Size-2"))
                there = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
                self.assertEqual(there, set(made["files"]))
                template = ROOT / "guests/templates" / kind
                expected = {str(path.relative_to(template)) for path in template.rglob("*") if path.is_file()}
                expected = {{"gitignore": ".gitignore", "README.md.in": "README.md"}.get(name, name) for name in expected}
                self.assertEqual(there - {"json_string.c", "json_string.h"}, expected)
                text = "".join((folder / name).read_text() for name in there)
                self.assertNotIn("@NAME@", text)
                self.assertNotIn("@PACKAGE@", text)
                self.assertIn(f"name: {kind}-Image.Size-2\n", (folder / "seam.function.yaml").read_text())
                self.assertLessEqual(len((folder / "README.md").read_text().splitlines()), 12)
                self.assertEqual(stat.S_IMODE(folder.stat().st_mode) & 0o700, 0o700)
                shutil.rmtree(folder)

    def test_nothing_is_overwritten(self):
        (self.folder / "slugs").mkdir()
        self.seam("new", "nodejs", "slugs")  # an empty folder is taken
        before = (self.folder / "slugs/index.js").read_bytes()
        self.assertIn("nothing is overwritten", self.seam("new", "python", "slugs", code=2))
        self.assertEqual((self.folder / "slugs/index.js").read_bytes(), before)
        self.assertFalse((self.folder / "slugs/main.py").exists())
        (self.folder / "file").write_text("x")
        self.assertIn("nothing is overwritten", self.seam("new", "python", "file", code=2))
        os.symlink("nowhere", self.folder / "link")
        self.assertIn("nothing is overwritten", self.seam("new", "python", "link", code=2))
        self.assertEqual(sorted(os.listdir(self.folder)), ["file", "link", "slugs"])

    def test_other_folders_and_other_words(self):
        self.assertIn("seam run deep/er/here", self.seam("new", "js", "slugs", "--dir", "deep/er/here"))
        self.assertTrue((self.folder / "deep/er/here/index.js").exists())
        said = self.seam("new", "py", "slugs", "--dir", "a b")
        self.assertIn("python-slugs is in a b:", said)
        self.assertIn("seam run 'a b' ", said)

    def test_wrong_words_are_explained(self):
        self.assertIn("Give a kind and a name: seam new nodejs slugs.", self.seam("new", code=2))
        self.assertIn("Give the function a name: seam new python slugs", self.seam("new", "python", code=2))
        self.assertIn("Did you mean python?", self.seam("new", "pyton", "slugs", code=2))
        self.assertIn("Have nodejs, python, rust or wasm.", self.seam("new", "cobol", "slugs", code=2))
        for name in ("../slugs", "a b", "ä", ".", "..", ".hidden", "x" * 65, "a/b", "nodejs-", "a\nb"):
            with self.subTest(name=name):
                self.assertIn("such as slugs or image-size", self.seam("new", "nodejs", name, code=2))
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    unittest.main()
