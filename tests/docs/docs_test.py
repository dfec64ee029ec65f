"""Checks the documents against the tree and against the program.

    SEAM_BINARY=build/dev/seam python3 tests/docs/docs_test.py
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from seam_server import SEAM, Server  # noqa: E402

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOP_LEVEL = ("src/", "docs/", "guests/", "tests/", "bench/", "fuzz/", "cmake/", "scripts/", "third_party/")


def documents():
    """Every Markdown file that git tracks or would, by its path from the root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    return {name: (ROOT / name).read_text() for name in listing if (ROOT / name).exists()}


def without_code(text):
    return re.sub(r"^    .*$", "", FENCE.sub("", text), flags=re.MULTILINE)


def anchors(text):
    """The anchors that headings get: lower case, spaces to dashes, punctuation left out."""
    headings = re.findall(r"^#+ (.*)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table_rows(text):
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|--"):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def seam(*arguments):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
    return subprocess.run([str(SEAM), *arguments], capture_output=True, text=True, check=True, env=environment,
                          cwd="/").stdout


class Links(unittest.TestCase):
    def test_links_lead_somewhere(self):
        texts = documents()
        self.assertIn("README.md", texts)
        for name, text in texts.items():
            for target in re.findall(r"\]\(([^)\s]+)\)", without_code(text)):
                if target.startswith(("http://", "https://")):
                    continue
                path, _, anchor = target.partition("#")
                file = (ROOT / name).parent / path if path else ROOT / name
                with self.subTest(document=name, link=target):
                    self.assertTrue(file.exists())
                    if anchor:
                        self.assertIn(anchor, anchors(file.read_text()))

    def test_named_files_exist(self):
        named = 0
        for name, text in documents().items():
            for token in re.findall(r"`([\w.-]+(?:/[\w.-]+)+/?)`", without_code(text)):
                if not token.startswith(TOP_LEVEL):
                    continue
                named += 1
                with self.subTest(document=name, path=token):
                    self.assertTrue((ROOT / token).exists())
        self.assertGreater(named, 50)

    def test_every_document_is_reached_from_the_readme(self):
        texts = documents()
        reached, waiting = set(), ["README.md"]
        while waiting:
            name = waiting.pop()
            if name in reached or name not in texts:
                continue
            reached.add(name)
            for target in re.findall(r"\]\(([^)#\s]+)", texts[name]):
                file = ((ROOT / name).parent / target).resolve()
                if file.is_relative_to(ROOT):
                    relative = str(file.relative_to(ROOT))
                    waiting += [n for n in texts if n == relative or n.startswith(relative + "/")]
        self.assertEqual({n for n in texts if n.startswith("docs/")} - reached, set())


class Tables(unittest.TestCase):
    def test_configuration_is_what_the_program_prints(self):
        text = (ROOT / "docs/configuration.md").read_text()
        kept = text.split("<!-- seam config --markdown -->\n")[1].split("<!-- end -->")[0]
        self.assertEqual(kept, seam("config", "--markdown"), "put the output of `seam config --markdown` there")

    def test_runtime_map_is_the_default(self):
        text = (ROOT / "docs/configuration.md").read_text()
        rules = text.split("```yaml\nruntime_map:\n")[1].split("```")[0]
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("runtime_map:\n" + rules)
            file.flush()
            written = json.loads(seam("config", "--json", "--config", file.name))["settings"]
        default = json.loads(seam("config", "--json"))["settings"]
        value = {each["key"]: each["value"] for each in default}["runtime_map"]
        self.assertEqual({each["key"]: each["value"] for each in written}["runtime_map"], value)

    def test_limits_have_the_defaults_of_the_settings(self):
        values = {each["key"]: each["value"] for each in json.loads(seam("config", "--json"))["settings"]}
        scale = {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "s": 1, "hours": 1, "": 1}
        checked = set()
        for row in table_rows((ROOT / "docs/limits.md").read_text()):
            # Settings stand before the first ';', keys of requests behind it.
            keys = re.findall(r"`([\w.]+)`", row[2].split(";")[0]) if len(row) == 4 else []
            if not keys or keys[0] not in values:
                continue
            sizes = row[1].removesuffix(" each").split(" and ")
            for key, size in zip(keys, sizes * len(keys) if len(sizes) == 1 else sizes):
                number, unit = re.fullmatch(r"([\d,]+) ?(\w*)", size).groups()
                expected = int(number.replace(",", "")) * scale[unit] * (1000 if key.endswith("_ms") else 1)
                with self.subTest(key=key):
                    self.assertEqual(values[key], expected)
                checked.add(key)
        bounds = {key for key in values if key.endswith("_max")}
        self.assertEqual(bounds - checked, set(), "docs/limits.md leaves them out")

    def test_every_route_is_described(self):
        routes = set()
        for file in (ROOT / "src/api").glob("*_api.cc"):
            for method, path in re.findall(r'\.method = (?:http::Method::)?k(\w+),\s*\.path =\s*"([^"]+)"', file.read_text()):
                routes.add(f"{method.upper()} {path.replace('{language_title}', '{name}')}")
        text = (ROOT / "docs/api.md").read_text()
        described = set(re.findall(r"^\| `((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", text, re.MULTILINE))
        self.assertGreater(len(routes), 10)
        self.assertEqual(described, routes)


def fits(expected, actual):
    """Whether an answer is what a document shows: "…" stands for any text, and a time for any time."""
    if expected == "…":
        return isinstance(actual, str)
    if isinstance(expected, dict):
        return (isinstance(actual, dict) and expected.keys() == actual.keys() and
                all(key == "execution_time" or fits(expected[key], actual[key]) for key in expected))
    if isinstance(expected, list):
        return (isinstance(actual, list) and len(expected) == len(actual) and
                all(map(fits, expected, actual)))
    return type(expected) is type(actual) and expected == actual


class Commands(unittest.TestCase):
    """Each sh block of the README is run, in order, in one shell; what it prints is the json block below it."""

    def test_the_tour(self):
        blocks = FENCE.findall((ROOT / "README.md").read_text())
        pairs = [(body, blocks[i + 1]) for i, (kind, body) in enumerate(blocks) if kind == "sh"]
        self.assertGreater(len(pairs), 4)
        with Server() as server, tempfile.TemporaryDirectory() as folder:
            # As with the path that the README sets, beside a server on the default port.
            programs = os.path.join(folder, "build/release")
            os.makedirs(programs)
            os.symlink(SEAM, os.path.join(programs, "seam"))
            script = "set -e\n"
            for number, (command, _) in enumerate(pairs):
                script += "{\n" + command + f"}} > {folder}/{number}\n"
            script = script.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
            environment = {"PATH": f"{programs}:{os.environ['PATH']}", "HOME": folder, "PORT": str(server.port)}
            subprocess.run(["bash", "-c", script], check=True, cwd=folder, env=environment, timeout=200)
            for number, (command, (kind, expected)) in enumerate(pairs):
                with self.subTest(command=command):
                    self.assertEqual(kind, "json")
                    printed = pathlib.Path(folder, str(number)).read_text()
                    self.assertTrue(fits(json.loads(expected), json.loads(printed)), printed)

    def test_files_shown_are_accepted(self):
        text = (ROOT / "docs/configuration.md").read_text()
        files = [body for kind, body in FENCE.findall(text) if kind == "yaml"]
        self.assertEqual(len(files), 3)
        for body in files:
            with self.subTest(file=body), tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
                file.write(body)
                file.flush()
                seam("config", "--config", file.name)


if __name__ == "__main__":
    unittest.main()
