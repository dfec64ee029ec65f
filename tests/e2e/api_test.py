"""The function service as a client sees it: every endpoint, every script form, every error."""

import json
import pathlib
import re
import signal
import socket
import sys
import threading
import time
import unittest

from seam_server import Server, children_of, wait_until

UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$")
TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
SESSION_KEYS = {"request_id", "language_title", "status", "created_at", "expires_at", "execution_count", "last_executed_at"}
SUMMARY_KEYS = {"language", "title", "language_title", "description", "version", "tags", "created_at", "updated_at"}


class ApiTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}: {cls.server.log_text()}"
        cls.server._folder.cleanup()

    def assert_error(self, answer, status, code, message=None):
        got_status, body = answer
        self.assertEqual(got_status, status, body)
        self.assertEqual(set(body), {"request_id", "error"}, body)
        self.assertEqual(set(body["error"]), {"code", "message", "details"}, body)
        self.assertEqual(body["error"]["code"], code, body)
        self.assertIsInstance(body["error"]["details"], dict)
        if message is not None:
            self.assertIn(message, body["error"]["message"])
        return body

    def assert_result(self, answer, result):
        status, body = answer
        self.assertEqual(status, 200, body)
        self.assertEqual(body["result"], result)
        return body


class Examples(ApiTest):
    def test_calculator(self):
        for operation, expected in (("add", 9), ("subtract", 3), ("multiply", 18), ("divide", 2)):
            self.assert_result(self.server.invoke("nodejs-calculator", {"operation": operation, "a": 6, "b": 3}), {"result": expected})
        body = self.assert_error(self.server.invoke("nodejs-calculator", {"operation": "divide", "a": 1, "b": 0}), 500, "RUNTIME_ERROR", "zero")
        self.assertGreater(body["error"]["details"]["line"], 0)
        self.assertIn("stack_trace", body["error"]["details"])

    def test_text_processor(self):
        text = "To be, or not to be"
        for action, expected in (("count_words", 6), ("count_chars", 19), ("uppercase", text.upper()), ("lowercase", text.lower())):
            self.assert_result(self.server.invoke("python-text_processor", {"action": action, "text": text}), {"result": expected})

    def test_text_stats(self):
        status, body = self.server.invoke("wasm-text_stats", {"text": "one two\nthree é\n"})
        self.assertEqual(status, 200, body)
        self.assertEqual(body["result"]["lines"], 2)
        self.assertEqual(body["result"]["words"], 4)


class ScriptForms(ApiTest):
    PARAMS = {"a": 2, "b": 40}
    NODE = {
        "body": "return event.params.a + event.params.b;",
        "async body": "await null; return event.params.a + event.params.b;",
        "module": "module.exports = async (event) => event.params.a + event.params.b;",
        "sync module": "module.exports = (event) => event.params.a + event.params.b;",
        "callback": "module.exports = async (context, callback) => { setTimeout(() => callback(null, context.params.a + context.params.b), 5); };",
        "es module": "import path from 'node:path';\nexport default async (event) => event.params.a + event.params.b + path.sep.length - 1;",
    }
    PYTHON = {
        "statements": "result = params['a'] + params['b']",
        "awaiting statements": "import asyncio\nawait asyncio.sleep(0)\nresult = params['a'] + params['b']",
        "handle": "def handle(params):\n    return params['a'] + params['b']",
        "async handle": "async def handle(params):\n    return params['a'] + params['b']",
        "handler": "def handler(context):\n    return context['params']['a'] + context['params']['b']",
        "async handler": "import asyncio\nasync def handler(context):\n    await asyncio.sleep(0.001)\n    return context['params']['a'] + context['params']['b']",
    }

    def test_node(self):
        for form, script in self.NODE.items():
            with self.subTest(form):
                self.assert_result(self.server.run_script("nodejs-form", script, self.PARAMS), 42)

    def test_python(self):
        for form, script in self.PYTHON.items():
            with self.subTest(form):
                self.assert_result(self.server.run_script("python-form", script, self.PARAMS), 42)

    def test_the_pattern_of_the_runtime_map(self):
        self.assert_result(self.server.run_script("js-form", "return 1", {}), 1)

    def test_context_is_passed_untouched(self):
        context = {"team": "core", "nested": {"x": [1, 2.5]}, "timeout_ms": 5000}
        self.assert_result(self.server.run_script("nodejs-c", "return event.context.nested", {}, context), {"x": [1, 2.5]})
        self.assert_result(self.server.run_script("python-c", "result = context['team']", {}, context), "core")

    def test_environment_of_the_context(self):
        context = {"environment": {"GREETING": "hello"}}
        self.assert_result(self.server.run_script("nodejs-e", "return process.env.GREETING", {}, context), "hello")
        self.assert_result(self.server.run_script("python-e", "import os\nresult = os.environ['GREETING']", {}, context), "hello")

    def test_errors_have_line_and_column(self):
        body = self.assert_error(self.server.run_script("nodejs-t", "const x = 1;\nthrow new TypeError('boom');"), 500, "RUNTIME_ERROR", "boom")
        details = body["error"]["details"]
        self.assertEqual((details["line"], details["type"], details["kind"]), (2, "TypeError", "threw"))
        body = self.assert_error(self.server.run_script("python-t", "x = 1\nraise ValueError('boom')"), 500, "RUNTIME_ERROR", "boom")
        details = body["error"]["details"]
        self.assertEqual((details["line"], details["type"], details["kind"]), (2, "ValueError", "threw"))

    def test_a_script_that_gives_no_result(self):
        self.assert_result(self.server.run_script("nodejs-n", "const x = 1;"), None)
        self.assert_result(self.server.run_script("python-n", "x = 1"), None)
        self.assert_error(self.server.run_script("python-n", "def handel(params):\n    return 1"), 500, "RUNTIME_ERROR", "sets no `result`")

    def test_a_script_that_cannot_be_loaded(self):
        for name, script in (("nodejs-s", "return 1 +;"), ("python-s", "def broken(:\n  pass")):
            body = self.assert_error(self.server.run_script(name, script), 500, "RUNTIME_ERROR")
            self.assertEqual(body["error"]["details"]["kind"], "load_failed")
            self.assertEqual(body["error"]["details"]["line"], 1)


class Json(ApiTest):
    def test_bytes_survive_python_and_numbers_their_language(self):
        echo = "def handle(params):\n    return params"
        _, session = self.server.initialize("python-echo", echo)
        path = f"/api/v1/execute/{session['request_id']}"
        for text in ("9007199254740993", "1e+308", "3.0", '"\\ud83d\\ude00"', "[]", "{}", '""', "null", "-0.0", "18446744073709551616"):
            status, _, data = self.server.request("POST", path, '{"params":%s}' % text)
            self.assertEqual(status, 200, data)
            self.assertEqual(json.loads(data)["result"], json.loads(text))
        self.assertIn(b'"result":3.0,', self.server.request("POST", path, '{"params":3.0}')[2])

    def test_deep_nesting(self):
        deep = "[" * 512 + "]" * 512
        for name, script in (("nodejs-deep", "return event.params"), ("python-deep", "def handle(params):\n    return params")):
            _, session = self.server.initialize(name, script)
            path = f"/api/v1/execute/{session['request_id']}"
            status, _, data = self.server.request("POST", path, '{"params":%s}' % deep)
            self.assertEqual(status, 200, data[:300])
            self.assertIn(deep.encode(), data)
            self.assert_error(self.server.call("POST", path, '{"params":[%s]}' % deep), 400, "INVALID_REQUEST", "nested deeper")

    def test_six_mebibytes(self):
        text = "x" * ((6 << 20) - 20)
        for name, script in (("nodejs-big", "return event.params.t"), ("python-big", "result = params['t']")):
            status, body = self.server.run_script(name, script, {"t": text})
            self.assertEqual(status, 200, str(body)[:300])
            self.assertEqual(body["result"], text)

    def test_what_is_refused(self):
        _, session = self.server.initialize("python-echo", "result = 1")
        path = f"/api/v1/execute/{session['request_id']}"
        for text, message in (
            ('{"params":{"a":"\\ud800"}}', "lone surrogate"),
            ('{"params":{"a":1', "unexpected end"),
            ('{"params":1,"params":2}', "appears twice"),
            ('{"parms":1}', '"parms" is not a member of this body: it may have params'),
            ("[]", "expected a JSON object"),
            (b'{"params":"\xff"}', "not UTF-8"),
        ):
            self.assert_error(self.server.call("POST", path, text), 400, "INVALID_REQUEST", message)
        self.assert_error(self.server.call("POST", path, json.dumps({"params": "x" * (6 << 20)})), 413, "INVALID_REQUEST")


class Sessions(ApiTest):
    def test_life_of_a_session(self):
        status, opened = self.server.initialize("nodejs-life", "return (globalThis.n = (globalThis.n || 0) + 1)", {"user_id": "u"})
        self.assertEqual(status, 200, opened)
        self.assertEqual(set(opened), {"request_id", "status", "expires_at"})
        self.assertEqual(opened["status"], "initialized")
        self.assertRegex(opened["request_id"], UUID)
        self.assertRegex(opened["expires_at"], TIME)
        session = opened["request_id"]
        body = self.assert_result(self.server.execute(session), 1)
        self.assertEqual(set(body), {"request_id", "call_id", "language_title", "execution_time", "cached", "result"})
        self.assertEqual((body["request_id"], body["language_title"], body["cached"]), (session, "nodejs-life", False))
        self.assertRegex(body["call_id"], UUID)
        self.assertIsInstance(body["execution_time"], float)
        status, told = self.server.call("GET", f"/api/v1/sessions/{session}")
        self.assertEqual(set(told), SESSION_KEYS)
        self.assertEqual(told["execution_count"], 1)
        self.assertRegex(told["last_executed_at"], TIME)
        self.assertGreater(told["expires_at"], opened["expires_at"])
        status, listed = self.server.call("GET", "/api/v1/sessions?per_page=100")
        self.assertEqual(status, 200)
        self.assertIn(session, [one["request_id"] for one in listed["sessions"]])
        status, data = self.server.call("DELETE", f"/api/v1/sessions/{session}")
        self.assertEqual((status, data), (204, None))
        self.assert_error(self.server.execute(session), 404, "NOT_FOUND")
        self.assert_error(self.server.call("GET", f"/api/v1/sessions/{session}"), 404, "NOT_FOUND")
        self.assert_error(self.server.call("DELETE", f"/api/v1/sessions/{session}"), 404, "NOT_FOUND")

    def test_patch(self):
        _, opened = self.server.initialize("python-patch", "result = 1")
        path = f"/api/v1/sessions/{opened['request_id']}"
        self.assert_result(self.server.execute(opened["request_id"]), 1)
        status, body = self.server.call("PATCH", path, {"script_content": "result = context['k']", "context": {"k": "two"}})
        self.assertEqual(status, 200, body)
        self.assertEqual(set(body), SESSION_KEYS)
        self.assert_result(self.server.execute(opened["request_id"]), "two")
        status, body = self.server.call("PATCH", path, {"expires_at": "2027-05-01T00:00:00Z"})
        self.assertEqual(body["expires_at"], "2027-05-01T00:00:00.000000Z")
        self.assert_result(self.server.execute(opened["request_id"]), "two")
        self.assertEqual(self.server.call("GET", path)[1]["expires_at"], "2027-05-01T00:00:00.000000Z")
        for change, message in (({"expires_at": "soon"}, "not an RFC 3339 time"), ({"expires_at": "2020-01-01T00:00:00Z"}, "in the future"),
                                ({"context": 1}, "must be an object"), ({"status": "x"}, "is not a member")):
            self.assert_error(self.server.call("PATCH", path, change), 400, "INVALID_REQUEST", message)
        self.assertEqual(self.server.call("PATCH", "/api/v1/sessions/none", {})[0], 404)

    def test_expiry_and_a_single_execute(self):
        _, opened = self.server.initialize("nodejs-x", "return 1", {"retain_session": False})
        self.assert_result(self.server.execute(opened["request_id"]), 1)
        self.assert_error(self.server.execute(opened["request_id"]), 404, "NOT_FOUND")
        with Server(arguments=["--sessions-expiry-seconds", "1"]) as server:
            _, opened = server.initialize("nodejs-x", "return 1")
            wait_until(lambda: server.execute(opened["request_id"])[0] == 200 or True)
            time.sleep(1.1)
            self.assert_error(server.execute(opened["request_id"]), 404, "NOT_FOUND", "expired")

    def test_what_initialize_refuses(self):
        self.assert_error(self.server.call("POST", "/api/v1/initialize", {}), 400, "INVALID_REQUEST", "Language-Title")
        self.assert_error(self.server.initialize("cobol-x", "x"), 400, "INVALID_REQUEST", "unknown language")
        self.assert_error(self.server.initialize("native-x", "x"), 400, "INVALID_REQUEST", "unknown language")
        self.assert_error(self.server.initialize("nodejs-", "x"), 400, "INVALID_REQUEST", "not a function's name")
        self.assert_error(self.server.initialize("nodejs-none"), 404, "NOT_FOUND")
        self.assert_error(self.server.initialize("model-x", "x"), 400, "INVALID_REQUEST", "no runtime 'model'")
        self.assert_error(self.server.initialize("nodejs-x", "//" + "x" * (1 << 20)), 413, "INVALID_REQUEST")
        self.assert_error(self.server.initialize("nodejs-x", "return 1", {"timeout_ms": 0}), 400, "INVALID_REQUEST", "timeout_ms")
        self.assert_error(self.server.initialize("wasm-x", "not base64!"), 400, "INVALID_REQUEST", "base64")


class Functions(ApiTest):
    def put(self, name, content, **more):
        return self.server.call("PUT", f"/api/v1/functions/{name}", {"content": content, **more})

    def test_life_of_a_function(self):
        name = "nodejs-versions"
        schema = {"params": {"type": "object"}, "result": {"type": "number"}}
        status, body = self.put(name, "return 1", description="first", schema=schema, examples=[{"params": {}, "result": 1}], tags=["t"])
        self.assertEqual(status, 201, body)
        self.assertEqual(set(body), SUMMARY_KEYS | {"schema", "examples", "implementations", "route"})
        self.assertEqual((body["version"], body["schema"], body["tags"], body["language"], body["title"]), (1, schema, ["t"], "nodejs", "versions"))
        self.assert_result(self.server.invoke(name), 1)
        status, body = self.put(name, "return 2")
        self.assertEqual((status, body["version"]), (200, 2))
        self.assert_result(self.server.invoke(name), 2)
        self.assert_result(self.server.call("POST", f"/api/v1/functions/{name}/invoke?version=1", {}), 1)
        self.assert_error(self.server.call("POST", f"/api/v1/functions/{name}/invoke?version=9", {}), 404, "NOT_FOUND")
        self.assert_error(self.server.call("POST", f"/api/v1/functions/{name}/invoke?version=x", {}), 400, "INVALID_REQUEST")
        status, body = self.server.call("PUT", f"/api/v1/functions/{name}/route", {"version": 1})
        self.assertEqual((status, body["route"][0]["version"]), (200, 1))
        self.assert_result(self.server.invoke(name), 1)
        self.assert_error(self.server.call("PUT", f"/api/v1/functions/{name}/route", {"version": 7}), 404, "NOT_FOUND", "no version 7")
        self.assert_error(self.server.call("PUT", f"/api/v1/functions/{name}/route", {}), 400, "INVALID_REQUEST")
        status, body = self.server.call("GET", f"/api/v1/functions/{name}/versions")
        self.assertEqual([one["version"] for one in body["versions"]], [2, 1])
        self.assertEqual([one["routed"] for one in body["versions"]], [False, True])
        _, session = self.server.initialize(name)
        self.assert_result(self.server.execute(session["request_id"]), 1)
        status, body = self.server.call("DELETE", f"/api/v1/functions/{name}")
        self.assertEqual((status, body), (204, None))
        self.assert_error(self.server.invoke(name), 404, "NOT_FOUND")
        self.assert_error(self.server.call("GET", f"/api/v1/functions/{name}"), 404, "NOT_FOUND")
        self.assert_error(self.server.call("DELETE", f"/api/v1/functions/{name}"), 404, "NOT_FOUND")
        self.assertEqual(self.put(name, "return 3")[0], 201)

    def test_list(self):
        status, body = self.server.call("GET", "/api/v1/functions?language=nodejs&per_page=1")
        self.assertEqual(status, 200)
        self.assertEqual(set(body), {"total", "page", "per_page", "functions"})
        self.assertEqual(len(body["functions"]), 1)
        self.assertEqual(set(body["functions"][0]), SUMMARY_KEYS)
        self.assertTrue(all(one["language"] == "python" for one in self.server.call("GET", "/api/v1/functions?language=python")[1]["functions"]))
        self.assertIn("wasm-text_stats", [one["language_title"] for one in self.server.call("GET", "/api/v1/functions?type=wasm")[1]["functions"]])
        self.assertEqual(self.server.call("GET", "/api/v1/functions?user_id=nobody")[1]["total"], 0)
        for query in ("page=0", "per_page=101", "per_page=x", "page=-1"):
            self.assert_error(self.server.call("GET", f"/api/v1/functions?{query}"), 400, "INVALID_REQUEST")

    def test_what_put_refuses(self):
        for more, message in (
            ({"encoding": "latin1"}, "must be utf-8 or base64"),
            ({"runtime": "cobol"}, "no runtime 'cobol'"),
            ({"limits": {"memory": 1}}, "limits.memory is not a limit"),
            ({"concurrency": 0}, "concurrency is 0"),
            ({"schema": []}, "must be an object"),
            ({"colour": 1}, "is not a member of this body"),
        ):
            self.assert_error(self.put("nodejs-bad", "return 1", **more), 400, "INVALID_REQUEST", message)
        self.assert_error(self.server.call("PUT", "/api/v1/functions/nodejs-bad", {}), 400, "INVALID_REQUEST", "content")
        body = self.assert_error(self.put("nodejs-bad", "const a = 1;\nreturn a +;"), 400, "INVALID_REQUEST")
        self.assertEqual(body["error"]["details"]["line"], 2)
        body = self.assert_error(self.put("python-bad", "x = 1\ny = = 2"), 400, "INVALID_REQUEST")
        self.assertEqual(body["error"]["details"]["line"], 2)
        self.assert_error(self.put("wasm-bad", "AGFzbQEAAAA=", encoding="base64"), 400, "INVALID_REQUEST")
        self.assert_error(self.put("wasm-bad", "bm90IHdhc20=", encoding="base64"), 400, "INVALID_REQUEST")
        self.assert_error(self.server.call("GET", "/api/v1/functions/nodejs-bad"), 404, "NOT_FOUND")

    def test_limits_environment_and_timeout_of_a_version(self):
        self.put("python-env", "import os\ndef handle(params):\n    return os.environ['A']", environment={"A": "version's"})
        self.assert_result(self.server.invoke("python-env"), "version's")
        self.assert_result(self.server.invoke("python-env", context={"environment": {"A": "call's"}}), "call's")
        self.assertNotIn("version's", json.dumps(self.server.call("GET", "/api/v1/functions/python-env")[1]))
        self.put("nodejs-slow", "for (;;);", limits={"timeout_ms": 200})
        self.assert_error(self.server.invoke("nodejs-slow"), 504, "TIMEOUT", "(timeout_ms is 200, of the function's limits: raise it there, or in the call's context)")
        self.assert_error(self.server.invoke("nodejs-slow", context={"timeout_ms": 100}), 504, "TIMEOUT", "(timeout_ms is 100, of its context: raise it there)")

    def test_a_timeout_of_the_server_names_its_setting(self):
        with Server(arguments=["--timeout-ms", "300"]) as server:
            said = "(timeout_ms is 300, the server's: give more in its context or in the function's limits)"
            self.assert_error(server.run_script("nodejs-x", "for (;;);"), 504, "TIMEOUT", said)
            server.call("PUT", "/api/v1/functions/python-slow", {"content": "while True: pass"})
            self.assert_error(server.invoke("python-slow"), 504, "TIMEOUT", said)

    def test_a_route_switches_without_losing_a_call(self):
        name = "python-switch"
        self.put(name, "def handle(params):\n    return 1")
        self.put(name, "def handle(params):\n    return 2")
        stop = threading.Event()
        bad = []

        def call():
            connection = self.server.connection()
            while not stop.is_set():
                status, body = self.server.call("POST", f"/api/v1/functions/{name}/invoke", {}, connection=connection)
                if status != 200 or body["result"] not in (1, 2):
                    bad.append((status, body))
            connection.close()

        threads = [threading.Thread(target=call) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(20):
            version = 1 + i % 2
            status, _ = self.server.call("PUT", f"/api/v1/functions/{name}/route", {"version": version})
            self.assertEqual(status, 200)
            self.assert_result(self.server.invoke(name), version)
        stop.set()
        for thread in threads:
            thread.join()
        self.assertEqual(bad, [])


class Door(ApiTest):
    def test_host_origin_and_proxies(self):
        for headers, message in (
            ({"Host": "example.com"}, "is not this machine's loopback"),
            ({"Host": "127.example.com"}, "is not this machine's loopback"),
            ({"Origin": "https://example.com"}, "may not call this server"),
            ({"Origin": "null"}, "may not call this server"),
            ({"X-Forwarded-For": "10.0.0.1"}, "through a proxy"),
            ({"Forwarded": "for=10.0.0.1"}, "through a proxy"),
        ):
            self.assert_error(self.server.call("GET", "/api/v1/functions", headers=headers), 403, "FORBIDDEN", message)
        for headers in ({"Host": f"localhost:{self.server.port}"}, {"Origin": f"http://127.0.0.1:{self.server.port}"}, {"Host": "[::1]"}):
            self.assertEqual(self.server.call("GET", "/api/v1/functions", headers=headers)[0], 200)

    def test_paths_methods_and_types(self):
        self.assert_error(self.server.call("GET", "/nowhere"), 404, "NOT_FOUND")
        status, headers, data = self.server.request("POST", "/api/v1/sessions")
        self.assert_error((status, json.loads(data)), 405, "INVALID_REQUEST")
        self.assertIn("GET", headers["Allow"])
        self.assert_error(self.server.call("POST", "/api/v1/initialize", "{}", {"Content-Type": "text/plain"}), 415, "INVALID_REQUEST")
        status, headers, data = self.server.request("OPTIONS", "/api/v1/functions/nodejs-calculator")
        self.assertIn("PUT", headers["Allow"])
        status, headers, data = self.server.request("HEAD", "/livez")
        self.assertEqual((status, data), (200, b""))
        self.assertEqual(int(headers["Content-Length"]), len(self.server.request("GET", "/livez")[2]))

    def test_the_clients_request_id_is_echoed(self):
        status, headers, _ = self.server.request("GET", "/livez", headers={"X-Request-ID": "abc-1"})
        self.assertEqual(headers["X-Request-ID"], "abc-1")
        body = self.assert_error(self.server.call("GET", "/nowhere", headers={"X-Request-ID": "abc-2"}), 404, "NOT_FOUND")
        self.assertEqual(body["request_id"], "abc-2")

    def test_health(self):
        self.assertEqual(self.server.call("GET", "/livez")[0], 200)
        self.assertEqual(self.server.call("GET", "/readyz")[0], 200)
        status, body = self.server.call("GET", "/health")
        self.assertEqual(status, 200)
        self.assertEqual(body["status"], "ok", body)
        components = body["components"]
        self.assertEqual((components["controller"], components["redis"], components["postgres"]), ("up", "disabled", "disabled"))
        self.assertEqual(components["runtimes"], {"nodejs": "up", "python": "up", "wasm": "up", "rust": "up", "model": "disabled"})


class Deadlines(ApiTest):
    LOOPS = {"nodejs-loop": "for (;;);", "python-loop": "while True:\n    pass", "nodejs-wait": "await new Promise(() => setTimeout(() => {}, 1e9))",
             "python-sleep": "import time\ntime.sleep(1000)"}

    def test_a_loop_ends_at_its_time_and_the_next_call_is_fine(self):
        for name, script in self.LOOPS.items():
            with self.subTest(name):
                _, session = self.server.initialize(name, script, {"timeout_ms": 300})
                begin = time.monotonic()
                self.assert_error(self.server.execute(session["request_id"]), 504, "TIMEOUT")
                self.assertGreaterEqual(time.monotonic() - begin, 0.3)
                status, _ = self.server.call("PATCH", f"/api/v1/sessions/{session['request_id']}",
                                             {"script_content": "return 7" if name.startswith("nodejs") else "result = 7"})
                self.assertEqual(status, 200)
                self.assert_result(self.server.execute(session["request_id"]), 7)

    def test_a_client_that_goes_away_frees_its_worker(self):
        _, session = self.server.initialize("python-gone", "import time\ntime.sleep(0.2 if params.get('quick') else 60)\nresult = 1")
        request = b'{"params":{}}'
        sock = socket.create_connection(("127.0.0.1", self.server.port))
        sock.sendall(b"POST /api/v1/execute/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                     % (session["request_id"].encode(), len(request), request))
        before = len(children_of(self.server.process.pid))
        time.sleep(0.5)
        sock.close()
        self.assert_result(self.server.execute(session["request_id"], {"quick": True}), 1)
        wait_until(lambda: len(children_of(self.server.process.pid)) <= before + 4)

    def test_a_full_queue_is_unavailable(self):
        self.server.call("PUT", "/api/v1/functions/python-full",
                         {"content": "import time\ndef handle(params):\n    time.sleep(0.5)\n    return 1", "concurrency": 1,
                          "limits": {"workers_max": 1, "queue_max": 1}})
        answers = []

        def call():
            status, headers, data = self.server.request("POST", "/api/v1/functions/python-full/invoke", {})
            answers.append((status, headers.get("Retry-After"), json.loads(data)))

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        statuses = sorted(status for status, _, _ in answers)
        self.assertEqual(statuses[:2], [200, 200])
        self.assertEqual(set(statuses), {200, 503})
        for status, retry_after, body in answers:
            if status == 503:
                self.assertEqual(body["error"]["code"], "UNAVAILABLE")
                self.assertEqual(retry_after, "1")


class MissingInterpreter(unittest.TestCase):
    """A machine without Python: its functions say what to do, and the others are not touched."""

    def test_its_functions_say_what_to_do_and_the_others_run(self):
        with Server(arguments=["--runtimes-python-command", "/nonexistent/python3"]) as server:
            _, body = server.call("GET", "/api/v1/functions")
            self.assertEqual({each["language_title"] for each in body["functions"]}, {"nodejs-calculator", "rust-data_validator", "wasm-text_stats"})
            self.assertEqual(server.invoke("nodejs-calculator", {"operation": "add", "a": 1, "b": 2})[0], 200)
            status, body = server.run_script("python-mine", "result = 1")
            self.assertEqual((status, body["error"]["code"]), (503, "UNAVAILABLE"), body)
            self.assertIn("/nonexistent/python3", body["error"]["message"])
            self.assertIn("runtimes.python.command", body["error"]["message"])
            self.assertIn("the example python-text_processor is not registered", server.log_text())


class Drain(unittest.TestCase):
    def test_calls_in_flight_are_answered_and_nothing_is_left(self):
        server = Server().start()
        _, session = server.initialize("python-drain", "import time\ntime.sleep(1)\nresult = 'done'")
        answers = []
        thread = threading.Thread(target=lambda: answers.append(server.execute(session["request_id"])))
        thread.start()
        time.sleep(0.4)
        below = children_of(server.process.pid)
        server.process.send_signal(signal.SIGTERM)
        thread.join()
        self.assertEqual(answers[0][0], 200, answers)
        self.assertEqual(answers[0][1]["result"], "done")
        self.assertEqual(server.process.wait(timeout=60), 0, server.log_text())
        server.stop()
        wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in below))

    def test_a_second_server_is_refused(self):
        with Server() as first:
            second = Server(data=first.data)
            with self.assertRaises(AssertionError) as refused:
                second.start()
            self.assertIn("in use by process", str(refused.exception))
            third = Server(arguments=["--port", str(first.port)])
            with self.assertRaises(AssertionError) as refused:
                third.start()
            self.assertIn(str(first.port), str(refused.exception))


if __name__ == "__main__":
    del ApiTest  # only its children hold tests
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
