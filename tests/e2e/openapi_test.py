"""Whether /openapi.json is a valid document, and true: real answers are held against the schemas that it declares, and
schemathesis makes requests out of it."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

import tools
from seam_server import Server

ROOT = pathlib.Path(__file__).resolve().parents[2]
VALIDATORS = ("openapi-spec-validator==0.9.0", "jsonschema==4.26.0", "rfc3339-validator==0.1.4")
# Of each operation, beside those that its parameters' limits give. 130 are over 2,000 cases in all.
EXAMPLES = "130" if os.environ.get("SEAM_E2E_FULL") else "5"
SCHEMATHESIS = ("schemathesis==4.32.5",)

# Reads {"document", "answers": [[method, path, status, content type, body]]}, prints what is wrong, a line each.
CHECK = r"""
import json, re, sys
from openapi_spec_validator import OpenAPIV31SpecValidator
from jsonschema import Draft202012Validator, FormatChecker

given = json.load(sys.stdin)
document = given["document"]
for error in OpenAPIV31SpecValidator(document).iter_errors():
    print("document:", error)
for path, operations in document["paths"].items():
    for method, operation in operations.items():
        for response in operation["responses"].values():
            for content in response.get("content", {}).values():
                Draft202012Validator.check_schema(content["schema"])
for schema in document["components"]["schemas"].values():
    Draft202012Validator.check_schema(schema)
for method, path, status, kind, body in given["answers"]:
    plain = path.split("?")[0]
    for pattern, operations in document["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), plain) and method.lower() in operations:
            break
    else:
        print(f"{method} {path} is not in the document")
        continue
    response = operations[method.lower()]["responses"].get(str(status))
    if response is None:
        print(f"{method} {path}: {status} is not declared: {body}")
        continue
    contents = response.get("content", {})
    kind = kind.split(";")[0] if kind else None
    if kind is None or not contents:
        if kind is not None or contents:
            print(f"{method} {path}: {status} has {kind}, declared is {list(contents)}")
        continue
    if kind not in contents:
        print(f"{method} {path}: {status} has {kind}, declared is {list(contents)}")
        continue
    if kind != "application/json":
        continue
    schema = {**contents[kind]["schema"], "components": document["components"]}
    for error in Draft202012Validator(schema, format_checker=FormatChecker()).iter_errors(json.loads(body)):
        print(f"{method} {path}: {status}: {error.json_path}: {error.message}")
"""


class OpenApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        status, cls.document = cls.server.call("GET", "/openapi.json")
        assert status == 200

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}: {cls.server.log_text()}"
        cls.server._folder.cleanup()

    def ask(self, method, path, body=None, headers=None):
        status, fields, data = self.server.request(method, path, body, headers)
        self.answers.append([method, path, status, fields.get("Content-Type"), data.decode()])
        return json.loads(data) if data and fields["Content-Type"] == "application/json" else None

    def test_the_document_is_valid_and_real_answers_are_as_declared(self):
        python = tools.python_with(*VALIDATORS)
        self.answers = []
        for path in ("/livez", "/readyz", "/health", "/metrics", "/openapi.json", "/console", "/console/view.js", "/console/console.css", "/console/icon.svg",
                     "/console/none", "/metrics?family=seam_workers"):
            self.ask("GET", path)
        functions = "/api/v1/functions"
        name = functions + "/nodejs-described"
        more = {"description": "d", "tags": ["a"], "examples": [], "limits": {"timeout_ms": 500}, "concurrency": 2,
                "environment": {"A": "b"}, "cacheable": False, "idempotent": True}
        self.ask("PUT", name, {"content": "if (event.params.x) throw new Error('x'); return {a: 1};", **more})
        self.ask("PUT", name, {"content": "return [event.params, null, 1.5];", "schema": {"params": {"type": ["object", "array"]}}})
        self.ask("PUT", name, {"content": "return (;"})
        self.ask("PUT", name, {"content": ""})
        self.ask("PUT", functions + "/nonsense", {"content": "1"})
        self.ask("GET", name)
        self.ask("GET", name + "/versions")
        self.ask("GET", functions + "?language=nodejs&per_page=1")
        self.ask("GET", functions + "?page=0")
        self.ask("GET", functions + "?page=x")
        self.ask("PUT", name + "/route", {"version": 1})
        printed = self.ask("POST", name + "/invoke", {"params": {"x": 1}})
        self.ask("PUT", functions + "/nodejs-printing", {"content": "console.log('seen'); console.error('too'); return 1;", "cacheable": True})
        for _ in range(2):
            call = self.ask("POST", functions + "/nodejs-printing/invoke", {})
        self.ask("GET", f"/api/v1/calls/{call['call_id']}")
        self.ask("GET", f"/api/v1/calls/{printed['error']['details']['call_id']}")
        self.ask("GET", "/api/v1/calls/nonsense")
        self.ask("GET", "/api/v1/calls/01900000-0000-7000-8000-000000000000")
        self.ask("GET", "/api/v1/calls?function=nodejs-printing")
        self.ask("GET", "/api/v1/calls?status=RUNTIME_ERROR&since=1h")
        self.ask("GET", "/api/v1/calls?since=lately")
        self.ask("GET", "/api/v1/logs?function=nodejs-printing")
        self.ask("GET", "/api/v1/logs", headers={"Accept": "application/x-ndjson"})
        self.ask("GET", "/api/v1/logs?call=nonsense")
        self.ask("DELETE", functions + "/nodejs-printing")
        self.ask("PUT", name + "/route", {"version": 9})
        self.ask("PUT", name + "/route", {})
        self.ask("POST", name + "/invoke", {"params": {"y": 1}, "context": {"user_id": "u"}})
        self.ask("POST", name + "/invoke", {"params": {"x": 1}})
        self.ask("POST", name + "/invoke?version=2", {"params": [1]})
        self.ask("POST", name + "/invoke", {"context": {"timeout_ms": 0}})
        self.ask("POST", name + "/invoke", "{", {"Content-Type": "application/json"})
        self.ask("POST", name + "/invoke", "{}", {"Content-Type": "text/plain"})
        self.ask("POST", functions + "/nodejs-none/invoke", {})
        self.ask("DELETE", name)
        self.ask("DELETE", name)
        session = self.ask("POST", "/api/v1/initialize", {"script_content": "while (event.params.spin) {} return 1;",
                                                         "context": {"timeout_ms": 5000}}, {"Language-Title": "nodejs-inline"})
        self.ask("POST", "/api/v1/initialize", {})
        self.ask("POST", "/api/v1/initialize", {}, {"Language-Title": "nodejs-none"})
        identity = session["request_id"]
        self.ask("GET", f"/api/v1/sessions/{identity}")
        self.ask("POST", f"/api/v1/execute/{identity}", {"params": {}})
        self.ask("PATCH", f"/api/v1/sessions/{identity}", {"context": {"timeout_ms": 200}})
        self.ask("POST", f"/api/v1/execute/{identity}", {"params": {"spin": True}})
        self.ask("PATCH", f"/api/v1/sessions/{identity}", {"expires_at": "yesterday"})
        self.ask("GET", f"/api/v1/sessions/{identity}")
        self.ask("GET", "/api/v1/sessions?per_page=3")
        self.ask("DELETE", f"/api/v1/sessions/{identity}")
        for method, path in (("GET", "sessions"), ("PATCH", "sessions"), ("DELETE", "sessions"), ("POST", "execute")):
            self.ask(method, f"/api/v1/{path}/{identity}", {} if method in ("PATCH", "POST") else None)
        self.ask("GET", "/health", headers={"Host": "stranger.example"})
        statuses = {answer[2] for answer in self.answers}
        self.assertLessEqual({200, 201, 204, 400, 403, 404, 415, 500, 504}, statuses)
        checked = subprocess.run([python, "-c", CHECK], capture_output=True, text=True,
                                 input=json.dumps({"document": self.document, "answers": self.answers}))
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, "", ""))

    def test_every_route_says_what_it_takes_and_gives(self):
        for path, operations in self.document["paths"].items():
            for method, operation in operations.items():
                with self.subTest(operation=operation["operationId"]):
                    self.assertTrue(operation["summary"].endswith("."))
                    good = {status: each for status, each in operation["responses"].items() if status < "300"}
                    self.assertTrue(good)
                    for status, each in good.items():
                        self.assertEqual("content" in each, status != "204")
                    if method in ("post", "put", "patch"):
                        self.assertIn("requestBody", operation)
                    for parameter in operation.get("parameters", []):
                        self.assertIn("description", parameter)
                    self.assertEqual({each["name"] for each in operation.get("parameters", []) if each["in"] == "path"},
                                     set(re.findall(r"\{(\w+)\}", path)))

    def test_no_schema_is_left_unused(self):
        text = json.dumps(self.document)
        for name in self.document["components"]["schemas"]:
            self.assertIn(f'"#/components/schemas/{name}"', text)

    # A small run of what finds the answers that the document does not allow, with requests made out of it.
    def test_schemathesis_finds_nothing(self):
        python = tools.python_with(*SCHEMATHESIS)
        # A list in schemathesis.toml would be one value, not a choice: each operation that ends something has its own.
        sessions = []
        for _ in range(2):
            status, session = self.server.initialize("nodejs-inline", "return event.params;")
            self.assertEqual(status, 200)
            sessions.append(session["request_id"])
        _, called = self.server.execute(sessions[0])
        for name in ("nodejs-doomed", "nodejs-changed", "nodejs-echo"):
            self.assertEqual(self.server.call("PUT", f"/api/v1/functions/{name}", {"content": "return event.params;"})[0], 201)
        with tempfile.TemporaryDirectory() as folder:
            # What a function does is its own affair: 500 and 504 are answers, and so is 501 to a method nobody has
            # (RFC 9110, section 9.1). A fault of the server itself is found in its log.
            pathlib.Path(folder, "schemathesis.toml").write_text(f"""
[parameters]
"path.language_title" = "nodejs-echo"
"path.request_id" = "{sessions[0]}"
[checks.not_a_server_error]
expected-statuses = ["2xx", "4xx", "500", "501", "503", "504"]
[[operations]]
include-operation-id = "initialize"
parameters = {{ "header.Language-Title" = "nodejs-echo" }}
[[operations]]
include-operation-id = "getCall"
parameters = {{ "path.call_id" = "{called['call_id']}" }}
[[operations]]
include-operation-id = "getLogs"
enabled = false
[[operations]]
include-operation-id = "putFunction"
parameters = {{ "path.language_title" = "nodejs-changed" }}
[[operations]]
include-operation-id = "routeFunction"
parameters = {{ "path.language_title" = "nodejs-changed" }}
[[operations]]
include-operation-id = "deleteFunction"
parameters = {{ "path.language_title" = "nodejs-doomed" }}
[[operations]]
include-operation-id = "endSession"
parameters = {{ "path.request_id" = "{sessions[1]}" }}
""")
            run = subprocess.run(
                [str(pathlib.Path(python).parent / "schemathesis"), "run", f"http://127.0.0.1:{self.server.port}/openapi.json",
                 "--phases", "examples,coverage,fuzzing", "--max-examples", EXAMPLES, "--seed", "1", "--no-color",
                 "--generation-database", "none", "--request-timeout", "60", "--warnings", "off",
                 "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"],
                cwd=folder, capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        print("\n".join(line for line in run.stdout.splitlines() if "generated" in line))
        self.assertNotIn("internal error", self.server.log_text())
        # It has reached what it was to try: every operation was answered well at least once, or ran a function.
        _, _, text = self.server.request("GET", "/metrics")
        reached = set(re.findall(r'seam_http_requests_total\{operation="(\w+)",method="[A-Z]+",status="2', text.decode()))
        reached |= set(re.findall(r'operation="(execute|invokeFunction)",method="POST",status="500"', text.decode()))
        declared = {each["operationId"] for path in self.document["paths"].values() for each in path.values()}
        # What getLogs follows does not end; its answers are held against the document above.
        self.assertEqual(declared - reached, {"getLogs"})
        self.assertIn('seam_function_calls_total{function="nodejs-echo"', text.decode())


if __name__ == "__main__":
    unittest.main()
