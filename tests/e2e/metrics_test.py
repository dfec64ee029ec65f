"""What /metrics tells: whether it is true, well formed, and what the documents, dashboard and alerts say of it."""

import json
import pathlib
import re
import subprocess
import unittest

import tools
from seam_server import Server, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = re.compile(r'^([a-z_]+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
METRIC = re.compile(r"\b(?:seam|process)_[a-z_]+")


def parse(text):
    """{(name, {labels}): value} of the text format, and {name: type} of its families."""
    samples, types = {}, {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            types[name] = kind
        elif not line.startswith("#"):
            name, labels, value = SAMPLE.match(line).groups()
            samples[name, frozenset(LABEL.findall(labels or ""))] = float(value)
    return samples, types


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}: {cls.server.log_text()}"
        cls.server._folder.cleanup()

    def text(self, headers=None):
        status, fields, body = self.server.request("GET", "/metrics", headers=headers)
        self.assertEqual(status, 200)
        self.content_type = fields["Content-Type"]
        return body.decode()

    def value(self, name, **labels):
        return parse(self.text())[0].get((name, frozenset(labels.items())), 0)

    def put(self, name, script):
        status, body = self.server.call("PUT", f"/api/v1/functions/{name}", {"content": script})
        self.assertIn(status, (200, 201), body)

    def delete(self, name):
        self.assertEqual(self.server.call("DELETE", f"/api/v1/functions/{name}")[0], 204)


class Counts(Metrics):
    def test_calls_by_how_they_ended(self):
        self.put("nodejs-counted", """
            if (event.params.fail) throw new Error("no");
            if (event.params.spin) while (true) {}
            return 1;""")
        for _ in range(3):
            self.assertEqual(self.server.invoke("nodejs-counted")[0], 200)
        codes = {"OK": 3}
        for params, context in (({"fail": True}, {}), ({"spin": True}, {"timeout_ms": 300})):
            status, body = self.server.invoke("nodejs-counted", params, context=context)
            self.assertGreaterEqual(status, 500)
            codes[body["error"]["code"]] = 1
        self.assertEqual(set(codes), {"OK", "RUNTIME_ERROR", "TIMEOUT"})
        # The worker that ran out of time is gone.
        self.assertEqual(self.server.invoke("nodejs-counted")[0], 200)
        codes["OK"] += 1
        labels = {"function": "nodejs-counted", "runtime": "nodejs"}
        for code, count in codes.items():
            self.assertEqual(self.value("seam_function_calls_total", **labels, code=code), count)
        self.assertEqual(self.value("seam_function_call_duration_seconds_count", **labels), 6)
        self.assertGreater(self.value("seam_function_call_duration_seconds_sum", **labels), 0.25)
        self.assertEqual(self.value("seam_function_stage_duration_seconds_count", **labels, stage="queue"), 6)
        self.assertGreaterEqual(self.value("seam_function_cold_starts_total", **labels), 1)
        # Versions share their function's series.
        self.put("nodejs-counted", "return 2;")
        self.server.invoke("nodejs-counted")
        self.assertEqual(self.value("seam_function_calls_total", **labels, code="OK"), 5)
        # They go with the function, and begin anew with it.
        self.delete("nodejs-counted")
        self.assertNotIn("nodejs-counted", self.text())
        self.put("nodejs-counted", "return 3;")
        self.assertEqual(self.value("seam_function_calls_total", **labels, code="OK"), 0)
        self.delete("nodejs-counted")

    def test_a_part_of_them(self):
        self.put("nodejs-part", "return 1;")
        self.put("nodejs-whole", "return 1;")
        for name in ("nodejs-part", "nodejs-whole"):
            self.server.invoke(name)
        _, _, text = self.server.request("GET", "/metrics?family=seam_functions,seam_function_calls_total,none&function=nodejs-part")
        lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
        self.assertEqual([line.rsplit(" ", 1)[0] for line in lines],
                         ["seam_functions", 'seam_function_calls_total{function="nodejs-part",runtime="nodejs",code="OK"}'])
        self.assertEqual(self.server.request("GET", "/metrics?family=none")[2], b"")
        self.assertIn("nodejs-whole", self.text())
        self.delete("nodejs-part")
        self.delete("nodejs-whole")

    def test_scripts_of_sessions_share_a_series(self):
        labels = {"function": "(script)", "runtime": "python", "code": "OK"}
        before = self.value("seam_function_calls_total", **labels)
        for i in range(3):
            self.assertEqual(self.server.run_script(f"python-inline_{i}", "result = 1")[0], 200)
        self.assertEqual(self.value("seam_function_calls_total", **labels), before + 3)
        self.assertNotIn("python-inline", self.text())

    def test_params_that_the_schema_refuses_are_counted_by_their_code(self):
        status, body = self.server.call("PUT", "/api/v1/functions/nodejs-strict",
                                        {"content": "return 1;", "schema": {"params": {"type": "object", "required": ["a"]}}})
        self.assertEqual(status, 201, body)
        self.assertEqual(self.server.invoke("nodejs-strict", {})[0], 400)
        labels = {"function": "nodejs-strict", "runtime": "nodejs"}
        self.assertEqual(self.value("seam_function_calls_total", **labels, code="INVALID_PARAMS"), 1)
        self.assertEqual(self.value("seam_function_call_duration_seconds_count", **labels), 1)
        self.assertEqual(self.value("seam_function_stage_duration_seconds_count", **labels, stage="run"), 0)
        self.delete("nodejs-strict")

    def test_the_result_cache(self):
        status, body = self.server.call("PUT", "/api/v1/functions/nodejs-kept", {"content": "return 1;", "cacheable": True})
        self.assertEqual(status, 201, body)
        names = ("hits_total", "misses_total", "entries", "bytes")
        before = [self.value(f"seam_cache_{name}") for name in names]
        for _ in range(3):
            self.assertEqual(self.server.invoke("nodejs-kept")[0], 200)
        hits, misses, entries, size = (self.value(f"seam_cache_{name}") - was for name, was in zip(names, before))
        self.assertEqual((hits, misses, entries), (2, 1, 1))
        self.assertGreater(size, 0)
        self.delete("nodejs-kept")

    def test_requests_by_operation_method_and_status(self):
        def ask(verb, path, **labels):
            before = self.value("seam_http_requests_total", **labels)
            self.server.request(verb, path)
            self.assertEqual(self.value("seam_http_requests_total", **labels), before + 1, labels)

        ask("GET", "/health", operation="health", method="GET", status="200")
        ask("HEAD", "/health", operation="health", method="HEAD", status="200")
        ask("GET", "/api/v1/functions/nodejs-none", operation="getFunction", method="GET", status="404")
        ask("GET", "/nowhere", operation="(none)", method="GET", status="404")
        ask("PATCH", "/health", operation="(none)", method="PATCH", status="405")
        before = self.value("seam_http_requests_total", operation="(none)", method="GET", status="403")
        self.server.request("GET", "/health", headers={"Host": "stranger.example"})
        self.assertEqual(self.value("seam_http_requests_total", operation="(none)", method="GET", status="403"), before + 1)
        count = self.value("seam_http_request_duration_seconds_count", operation="health")
        self.server.request("GET", "/health")
        self.assertEqual(self.value("seam_http_request_duration_seconds_count", operation="health"), count + 1)

    def test_connections_and_bytes(self):
        sent = self.value("seam_http_sent_bytes_total")
        body = self.text()
        self.assertGreaterEqual(self.value("seam_http_sent_bytes_total"), sent + len(body))
        self.assertGreater(self.value("seam_http_received_bytes_total"), 100)
        open_before = self.value("seam_http_connections_open")
        kept = [self.server.connection() for _ in range(3)]
        for one in kept:
            self.server.request("GET", "/livez", connection=one)
        self.assertEqual(self.value("seam_http_connections_open"), open_before + 3)
        for one in kept:
            one.close()
        wait_until(lambda: self.value("seam_http_connections_open") == open_before, what="the end of the connections")

    def test_sessions_functions_workers_records(self):
        sessions, functions = self.value("seam_sessions_open"), self.value("seam_functions")
        status, session = self.server.initialize("nodejs-in_session", "return 1;")
        self.assertEqual(status, 200)
        self.put("python-one_more", "result = 1")
        self.assertEqual(self.value("seam_sessions_open"), sessions + 1)
        self.assertEqual(self.value("seam_functions"), functions + 1)
        self.assertEqual(self.server.execute(session["request_id"])[0], 200)
        self.assertGreaterEqual(self.value("seam_workers", runtime="nodejs", state="idle"), 1)
        self.assertGreaterEqual(self.value("seam_workers_started_total", runtime="nodejs"), 1)
        self.assertEqual(self.value("seam_calls_running", runtime="nodejs"), 0)
        self.assertEqual(self.value("seam_runtime_up", runtime="wasm"), 1)
        wait_until(lambda: self.value("seam_records_waiting") == 0, what="the writing of the records")
        self.assertGreaterEqual(self.value("seam_records_written_total"), 1)
        self.assertEqual(self.value("seam_records_lag_seconds"), 0)
        self.server.call("DELETE", f"/api/v1/sessions/{session['request_id']}")
        self.delete("python-one_more")


class Form(Metrics):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # One of everything, so that every metric shows.
        cls.server.invoke("nodejs-calculator", {"operation": "add", "a": 1, "b": 2})
        cls.server.invoke("wasm-text_stats", {"text": "a"})
        cls.server.run_script("nodejs-loud", "console.log('x'.repeat(1 << 20)); return 1;")

    def families(self):
        return parse(self.text())[1]

    def test_promtool_finds_nothing_wrong(self):
        checked = subprocess.run([tools.promtool(), "check", "metrics"], input=self.text(), capture_output=True, text=True)
        self.assertEqual((checked.returncode, checked.stderr), (0, ""))
        self.assertEqual(self.content_type, "text/plain; version=0.0.4; charset=utf-8")

    def test_openmetrics_is_well_formed(self):
        python = tools.python_with("prometheus-client==0.26.0")
        text = self.text({"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"})
        self.assertEqual(self.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8")
        program = ("import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as p; "
                   "print(len(list(p(sys.stdin.read()))))")
        parsed = subprocess.run([python, "-c", program], input=text, capture_output=True, text=True)
        self.assertEqual(parsed.returncode, 0, parsed.stderr)
        self.assertEqual(int(parsed.stdout), len(self.families()))

    def test_the_document_lists_every_metric_with_its_type_and_labels(self):
        documented = {}
        for line in (ROOT / "docs/metrics.md").read_text().splitlines():
            row = re.match(r"^\| `((?:seam|process)_\w+)` \| (\w+) \| (.*?) ?\| .+ \|$", line)
            if row:
                documented[row[1]] = (row[2], frozenset(re.findall(r"`(\w+)`", row[3])))
        samples, types = parse(self.text())
        exported = {}
        for name, kind in types.items():
            sample = name + "_count" if kind == "histogram" else name
            labels = {frozenset(label for label, _ in each) for known, each in samples if known == sample}
            self.assertEqual(len(labels), 1, name)
            exported[name] = (kind, labels.pop())
        self.maxDiff = None
        self.assertEqual(documented, exported)

    def exported_samples(self):
        return {name for name, _ in parse(self.text())[0]}

    def test_the_dashboard_asks_for_what_there_is(self):
        dashboard = json.loads((ROOT / "deploy/grafana/seam.json").read_text())
        queries = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
        queries += [each["definition"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
        self.assertGreater(len(queries), 20)
        exported = self.exported_samples()
        for query in queries:
            with self.subTest(query=query):
                named = set(METRIC.findall(query))
                self.assertTrue(named)
                self.assertEqual(named - exported, set())

    def test_the_alerts_ask_for_what_there_is(self):
        text = (ROOT / "deploy/prometheus/alerts.yml").read_text()
        rules = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith(("#", "description", "summary")))
        named = set(METRIC.findall(rules))
        self.assertGreater(len(named), 5)
        self.assertEqual(named - self.exported_samples(), set())

    def test_promtool_takes_the_alerts_and_they_fire(self):
        folder = ROOT / "deploy/prometheus"
        for arguments in (("check", "rules", folder / "alerts.yml"), ("test", "rules", folder / "alerts_test.yml")):
            checked = subprocess.run([tools.promtool(), *arguments], capture_output=True, text=True)
            self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)

    # promtool takes PromQL only inside a rule: each query of the dashboard becomes one.
    def test_the_dashboards_queries_are_promql(self):
        dashboard = json.loads((ROOT / "deploy/grafana/seam.json").read_text())
        rules = []
        for panel in dashboard["panels"]:
            for target in panel.get("targets", []):
                query = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$function", ".*")
                rules.append({"record": f"query:{len(rules)}", "expr": query})
        checked = subprocess.run([tools.promtool(), "check", "rules", "/dev/stdin"], capture_output=True, text=True,
                                 input=json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        self.assertEqual(checked.returncode, 0, checked.stdout + checked.stderr)


if __name__ == "__main__":
    unittest.main()
