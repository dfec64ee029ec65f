"""Runs every example of docs/functions/nodejs.md and python.md, and the functions in guests/examples.

A page shows a program in a block of its language; each JSON block after it is one call of it:
{"params", "context", "entry", "environment"} and what is expected: "result" and "log", or "error", or
"load_error", of which each key that the page shows must be there.
"""

import json
import os
import re
import subprocess
import unittest

from worker_client import LOADED, ROOT, Worker

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as file:
        return file.read()


class Docs(unittest.TestCase):
    def run_page(self, page, fence, language):
        source, calls, programs = None, 0, 0
        for fence_found, text in BLOCK.findall(read("docs", "functions", page)):
            if fence_found == fence:
                self.assertTrue(source is None or calls, f"no call follows: {source}")
                source, calls = text, 0
                programs += 1
            else:
                self.assertEqual(fence_found, "json")
                calls += 1
                with self.subTest(source=source, call=text):
                    self.run_example(language, source, json.loads(text))
        self.assertTrue(calls)
        return programs

    def run_example(self, language, source, call):
        environment, entry = call.get("environment"), call.get("entry", "")
        with Worker(language, source, entry=entry, environment=environment) as worker:
            if "load_error" in call:
                self.compare(worker.loaded.failure, call["load_error"])
                return
            self.assertEqual(worker.loaded.type, LOADED, worker.loaded.text)
            outcome = worker.call(call["params"], call.get("context"))
            self.assertEqual(outcome.log().decode(), call.get("log", ""))
            if "error" in call:
                self.compare(outcome.failure, call["error"])
            else:
                self.assertEqual(json.dumps(outcome.value), json.dumps(call["result"]))

    def compare(self, failure, expected):
        self.assertEqual({key: failure.get(key) for key in expected}, expected)

    def test_nodejs_page(self):
        self.assertGreater(self.run_page("nodejs.md", "js", "node"), 10)

    def test_python_page(self):
        self.assertGreater(self.run_page("python.md", "python", "python"), 8)


class Examples(unittest.TestCase):
    def worker(self, language, name):
        worker = Worker(language, read("guests", "examples", name))
        self.addCleanup(worker.close)
        self.assertEqual(worker.loaded.type, LOADED, worker.loaded.text)
        return worker

    def test_calculator(self):
        worker = self.worker("node", "nodejs-calculator.js")
        for operation, a, b, result in (("add", 1, 2, 3), ("subtract", 1, 2, -1), ("multiply", 1.5, 4, 6), ("divide", 1, 4, 0.25)):
            self.assertEqual(worker.call({"operation": operation, "a": a, "b": b}).value, {"result": result})
        failures = [
            ({"operation": "divide", "a": 1, "b": 0}, "Error", "Division by zero"),
            ({"operation": "power", "a": 1, "b": 0}, "Error", 'Unknown operation "power": use one of add, subtract, multiply, divide'),
            ({"operation": "toString", "a": 1, "b": 0}, "Error", 'Unknown operation "toString": use one of add, subtract, multiply, divide'),
            ({}, "Error", "Unknown operation undefined: use one of add, subtract, multiply, divide"),
            (None, "Error", "Unknown operation undefined: use one of add, subtract, multiply, divide"),
            ({"operation": "add", "a": "1", "b": 0}, "TypeError", 'a must be a number, not "1"'),
            ({"operation": "add", "a": 1}, "TypeError", "b must be a number, not undefined"),
            ({"operation": "multiply", "a": 1e308, "b": 10}, "RangeError", "The result is too large for a number"),
        ]
        for params, type_, message in failures:
            failure = worker.call(params).failure
            self.assertEqual((failure["type"], failure["message"]), (type_, message))

    def test_text_processor(self):
        worker = self.worker("python", "python-text_processor.py")
        ordinary = "Höher, schneller; weiter!\n\n  two\twords\r\n\v x \f y  \nüñí 漢字 😀 end"
        for text in (ordinary, "", " ", "\n", "one", "no line end\n", ordinary * 100000):
            for action, flag in (("count_words", "-w"), ("count_chars", "-m")):
                environment = {**os.environ, "LC_ALL": "C.UTF-8"}
                counted = subprocess.run(["wc", flag], input=text.encode(), capture_output=True, env=environment, check=True)
                outcome = worker.call({"action": action, "text": text})
                self.assertEqual(outcome.value, {"result": int(counted.stdout)}, (action, text[:100]))
        self.assertEqual(worker.call({"action": "uppercase", "text": "straße é"}).value, {"result": "STRASSE É"})
        self.assertEqual(worker.call({"action": "lowercase", "text": "ÀB 漢"}).value, {"result": "àb 漢"})
        failures = [
            ({"action": "shout", "text": ""}, "ValueError", "unknown action 'shout': use one of count_words, count_chars, uppercase, lowercase"),
            ({"action": "uppercase", "text": 5}, "TypeError", "text must be a string, not int"),
            ([], "TypeError", "params must be an object with `action` and `text`"),
        ]
        for params, type_, message in failures:
            failure = worker.call(params).failure
            self.assertEqual((failure["type"], failure["message"]), (type_, message))


if __name__ == "__main__":
    unittest.main()
