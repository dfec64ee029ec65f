"""The examples of the pages for guests in C, C++, Go and Rust, built by the commands that stand below them, put and called."""

import base64
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from seam_server import Server

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "functions"
BLOCK = re.compile(r"^```\w+\n(// ([\w]+\.\w+).*?)^```\n\n(?:    ([^\n]*)\n)?", re.MULTILINE | re.DOTALL)
WASI = pathlib.Path("/usr/include/wasm32-wasi")


def examples(page):
    """(file name, source, command below it) of each example of a page."""
    found = [(name, source, command) for source, name, command in BLOCK.findall((DOCS / page).read_text())]
    assert found, f"{page} shows no example"
    return found


class Guests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def build(self, name, source, command):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / name).write_text(source)
            made = subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, text=True)
            self.assertEqual(made.returncode, 0, made.stderr)
            return (pathlib.Path(folder) / "greet.wasm").read_bytes()

    def call(self, module, params):
        content = base64.b64encode(module).decode()
        status, body = self.server.call("PUT", "/api/v1/functions/wasm-greet", {"content": content, "encoding": "base64"})
        self.assertIn(status, (200, 201), body)
        return self.server.invoke("wasm-greet", params)

    def check(self, page, count):
        built = 0
        for name, source, command in examples(page):
            with self.subTest(name):
                module = self.build(name, source, command)
                status, body = self.call(module, {"name": "Ada"})
                self.assertEqual((status, body.get("result")), (200, {"hello": "Ada"}), body)
                status, body = self.call(module, {})
                self.assertEqual(status, 500, body)
                self.assertIn("params must be an object with a name", body["error"]["message"])
                built += 1
        self.assertEqual(built, count)

    def test_c(self):
        if not shutil.which("clang-19") or not WASI.exists():
            self.skipTest("clang-19 or wasi-libc is not installed")
        for name, source, command in examples("wasm.md"):
            with self.subTest(name):
                status, body = self.call(self.build(name, source, command), {"a": 1})
                self.assertEqual((status, body.get("result")), (200, {"received": {"a": 1}}), body)

    def test_cpp(self):
        if not shutil.which("clang++-19") or not (WASI / "c++").exists():
            self.skipTest("clang++-19 or libc++-19-dev-wasm32 is not installed")
        self.check("cpp.md", 1)

    def test_go(self):
        go = shutil.which("go")
        if not go:
            self.skipTest("go is not installed")
        version = re.search(r"go(\d+)\.(\d+)", subprocess.run([go, "version"], capture_output=True, text=True).stdout)
        if (int(version[1]), int(version[2])) < (1, 24):
            self.skipTest("go is older than 1.24")
        os.environ.setdefault("GOCACHE", tempfile.gettempdir() + "/seam-go-cache")
        self.check("go.md", 2)

    def test_rust(self):
        (name, source, _), = examples("rust.md")
        self.assertEqual(name, "greet.rs")
        self.assertEqual(self.server.call("PUT", "/api/v1/functions/rust-greet", {"content": source})[0], 201)
        status, body = self.server.invoke("rust-greet", {"name": "Ada"})
        self.assertEqual((status, body["result"]), (200, {"hello": "Ada"}), body)


if __name__ == "__main__":
    unittest.main()
