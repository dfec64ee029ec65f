"""More than 5 MB of real text, licences and a dictionary of the distribution, through functions of each
language: the same bytes and counts as wc, tr, sed, sha256sum and gzip give.
"""

import glob
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

from seam_server import Server

DICTIONARY = pathlib.Path("/usr/share/dict/american-english-insane")  # package wamerican-insane
BYTES = 5_300_000

UPPERCASE = """module.exports = ({ params }) => ({
  upper: params.text.toUpperCase(), words: params.text.split(/\\s+/).filter(Boolean).length, characters: [...params.text].length });"""


def text_of(ascii_only):
    """Licences, then the dictionary's lines until there are BYTES."""
    parts = [pathlib.Path(path).read_bytes() for path in sorted(glob.glob("/usr/share/common-licenses/*")) if not os.path.islink(path)]
    data = b"".join(parts)
    words = [line for line in DICTIONARY.read_bytes().splitlines(keepends=True) if not ascii_only or line.isascii()]
    if ascii_only:
        data = bytes(byte for byte in data if byte < 128)
    # Words with letters beyond ASCII first, so that they are among those that fit.
    words.sort(key=bytes.isascii)
    kept, size = [data], len(data)
    for line in words:
        if size + len(line) > BYTES:
            break
        kept.append(line)
        size += len(line)
    return b"".join(kept)


def tool(data, *command):
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True, env=environment).stdout


def count(data, option):
    return int(tool(data, "wc", option).split()[0])


@unittest.skipUnless(DICTIONARY.exists(), f"{DICTIONARY} is not there: install the package wamerican-insane")
class RealInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        cls.texts = {"ascii": text_of(True), "utf-8": text_of(False)}
        for name, data in cls.texts.items():
            print(f"  {name}: {len(data)} bytes", flush=True)
            assert len(data) > 5_200_000, len(data)

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}"
        cls.server._folder.cleanup()

    def ask(self, path, params):
        body = json.dumps({"params": params}, ensure_ascii=False).encode()
        begin = time.monotonic()
        status, answer = self.server.call("POST", path, body)
        print(f"  {path.split('/')[-2]} {params.get('action', '')}: {(time.monotonic() - begin) * 1000:.0f} ms", flush=True)
        self.assertEqual(status, 200, str(answer)[:500])
        return answer["result"]

    def assert_same_bytes(self, got, want):
        self.assertTrue(got == want, f"{len(got)} bytes against {len(want)}; first difference at "
                        f"{next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))}")

    def test_python(self):
        path = "/api/v1/functions/python-text_processor/invoke"
        for name, data in self.texts.items():
            with self.subTest(name):
                text = data.decode()
                self.assertEqual(self.ask(path, {"action": "count_words", "text": text}), {"result": count(data, "-w")})
                self.assertEqual(self.ask(path, {"action": "count_chars", "text": text}), {"result": count(data, "-m")})
                upper = self.ask(path, {"action": "uppercase", "text": text})["result"].encode()
                lower = self.ask(path, {"action": "lowercase", "text": text})["result"].encode()
                if name == "ascii":
                    self.assert_same_bytes(upper, tool(data, "tr", "[:lower:]", "[:upper:]"))
                    self.assert_same_bytes(lower, tool(data, "tr", "[:upper:]", "[:lower:]"))
                self.assert_same_bytes(upper, tool(data, "sed", r"s/.*/\U&/"))
                self.assert_same_bytes(lower, tool(data, "sed", r"s/.*/\L&/"))

    def test_node(self):
        status, body = self.server.call("PUT", "/api/v1/functions/nodejs-upper", {"content": UPPERCASE})
        self.assertEqual(status, 201, body)
        for name, data in self.texts.items():
            with self.subTest(name):
                result = self.ask("/api/v1/functions/nodejs-upper/invoke", {"text": data.decode()})
                self.assert_same_bytes(result["upper"].encode(), tool(data, "sed", r"s/.*/\U&/"))
                if name == "ascii":
                    self.assert_same_bytes(result["upper"].encode(), tool(data, "tr", "[:lower:]", "[:upper:]"))
                self.assertEqual((result["words"], result["characters"]), (count(data, "-w"), count(data, "-m")))

    def test_wasm(self):
        for name, data in self.texts.items():
            with self.subTest(name):
                result = self.ask("/api/v1/functions/wasm-text_stats/invoke", {"text": data.decode()})
                want = {"lines": count(data, "-l"), "words": count(data, "-w"), "bytes": count(data, "-c"), "characters": count(data, "-m"),
                        "sha256": tool(data, "sha256sum").split()[0].decode(), "crc32": f"{int.from_bytes(tool(data, 'gzip', '-1', '-c')[-8:-4], 'little'):08x}"}
                self.assertEqual(result, want)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
