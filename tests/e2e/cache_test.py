"""Results that are kept and runs that are shared, as a client of a real server sees them. That a run is shared by calls that
wait at the same moment is tested over its parts in src/functions/result_cache_test.cc; here no step relies on a moment."""

import contextlib
import json
import pathlib
import sqlite3
import sys
import threading
import unittest

from seam_server import Server, wait_until

# Counts its runs in the worker's memory; one worker, so one count.
COUNTER = """
let runs = 0;
module.exports = async (event) => {
  const params = event.params;
  runs += 1;
  console.log(`run ${runs}`);
  if (params.fail) throw new Error(`run ${runs}`);
  if (params.ms) await new Promise((resolve) => setTimeout(resolve, params.ms));
  return { run: runs, pad: "x".repeat(params.pad ?? 0) };
};
"""
ONE_WORKER = {"limits": {"workers_max": 1}, "concurrency": 1}


class CacheTest(unittest.TestCase):
    arguments = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(arguments=("--threads", "4", *cls.arguments)).start()
        cls.names = iter(f"nodejs-counter{i}" for i in range(1000))

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        assert status == 0, f"exit status {status}: {cls.server.log_text()}"
        cls.server._folder.cleanup()

    def put(self, name=None, script=COUNTER, **more):
        name = name or next(self.names)
        status, body = self.server.call("PUT", f"/api/v1/functions/{name}", {"content": script, **ONE_WORKER, **more})
        self.assertIn(status, (200, 201), body)
        return name

    def invoke(self, name, params=None, control=None, query="", body=None, **more):
        """The status, the headers and the parsed body of one invoke."""
        headers = {"Content-Type": "application/json"}
        if control is not None:
            headers["X-Cache-Control"] = control
        body = body or json.dumps({"params": {} if params is None else params, **more})
        status, headers, data = self.server.request("POST", f"/api/v1/functions/{name}/invoke{query}", body, headers)
        return status, headers, json.loads(data)

    def assert_run(self, answer, run, cached):
        status, headers, body = answer
        self.assertEqual(status, 200, body)
        self.assertEqual(body["result"]["run"], run, body)
        self.assertEqual(body["cached"], cached, body)
        self.assertEqual("Age" in headers, cached)
        return body

    def rows(self, query):
        with contextlib.closing(sqlite3.connect(pathlib.Path(self.server.data) / "seam.db", timeout=30)) as database:
            return database.execute(query).fetchall()


class Wanted(CacheTest):
    def test_nothing_is_kept_unless_it_is_wanted(self):
        name = self.put()
        self.assert_run(self.invoke(name), 1, False)
        self.assert_run(self.invoke(name), 2, False)
        self.assert_run(self.invoke(name, control="no-cache"), 3, False)
        self.assert_run(self.invoke(name), 4, False)

    def test_the_function_wants_it(self):
        name = self.put(cacheable=True)
        first = self.assert_run(self.invoke(name), 1, False)
        status, headers, second = self.invoke(name)
        self.assert_run((status, headers, second), 1, True)
        self.assertRegex(headers["Age"], r"^\d+$")
        self.assertNotEqual(first["call_id"], second["call_id"])
        self.assertEqual(set(first), set(second))
        self.assert_run(self.invoke(name, context={"cacheable": False}), 2, False)

    def test_the_request_wants_it(self):
        name = self.put()
        self.assert_run(self.invoke(name, control="max-age=3600"), 1, False)
        self.assert_run(self.invoke(name, control="max-age=3600"), 1, True)
        self.assert_run(self.invoke(name), 2, False)  # who wants nothing kept is answered with nothing kept
        self.assert_run(self.invoke(name, control="max-age=3600"), 1, True)
        self.assert_run(self.invoke(name, control="max-age=0"), 3, False)
        self.assert_run(self.invoke(name, control="max-age=3600"), 3, True)

    def test_the_context_wants_it(self):
        name = self.put()
        self.assert_run(self.invoke(name, context={"cacheable": True}), 1, False)
        self.assert_run(self.invoke(name, context={"cacheable": True}), 1, True)
        status, session = self.server.initialize(name, context={"cacheable": True})
        self.assertEqual(status, 200, session)
        # The same implementation, subject, context and params: the same call.
        answer = self.server.request("POST", f"/api/v1/execute/{session['request_id']}", {"params": {}})
        self.assert_run((answer[0], answer[1], json.loads(answer[2])), 1, True)
        _, after = self.server.call("GET", f"/api/v1/sessions/{session['request_id']}")
        self.assertEqual(after["execution_count"], 1)

    def test_no_cache_always_runs_and_renews_what_is_kept(self):
        name = self.put(cacheable=True)
        self.assert_run(self.invoke(name), 1, False)
        self.assert_run(self.invoke(name, control="no-cache"), 2, False)
        self.assert_run(self.invoke(name), 2, True)

    def test_no_store_runs_and_keeps_nothing(self):
        name = self.put(cacheable=True)
        self.assert_run(self.invoke(name, control="no-store"), 1, False)
        self.assert_run(self.invoke(name), 2, False)
        self.assert_run(self.invoke(name, control="no-store, max-age=60"), 3, False)
        self.assert_run(self.invoke(name), 2, True)

    def test_a_header_that_says_nothing_sensible_is_refused(self):
        name = self.put()
        for control in ("maxage=1", "max-age=-1", "max-age=1.5"):
            status, _, body = self.invoke(name, control=control)
            self.assertEqual((status, body["error"]["code"]), (400, "INVALID_REQUEST"))
            self.assertIn("X-Cache-Control has", body["error"]["message"])
        status, _, body = self.invoke(name, context={"cacheable": "yes"})
        self.assertEqual(status, 400, body)
        self.assertIn("context.cacheable", body["error"]["message"])
        self.assert_run(self.invoke(name), 1, False)


class Keys(CacheTest):
    def test_calls_are_equal_whatever_the_order_of_their_members(self):
        name = self.put(cacheable=True)
        self.assert_run(self.invoke(name, body='{"params":{"a":1.0,"b":[{"d":1,"c":2}]},"context":{"x":1,"y":2}}'), 1, False)
        self.assert_run(self.invoke(name, body='{"context":{"y":2,"x":1}, "params":{ "b":[{"c":2,"d":1}],"a":1.0}}'), 1, True)

    def test_what_a_function_could_tell_apart_is_not_equal(self):
        name = self.put(cacheable=True)
        for run, body in enumerate((
                '{"params":{"a":1}}', '{"params":{"a":1.0}}', '{"params":{"a":"1"}}', '{"params":[1,2]}', '{"params":[2,1]}',
                '{"params":{"a":1},"context":{"x":1}}', '{"params":{"a":1},"context":{"user_id":"bob"}}',
                '{"params":{"a":1},"context":{"user_id":"eve"}}'), 1):
            self.assert_run(self.invoke(name, body=body), run, False)
        self.assert_run(self.invoke(name, body='{"params":{"a":1},"context":{"user_id":"bob"}}'), 7, True)

    def test_a_put_and_a_route_change_what_answers(self):
        name = self.put(cacheable=True)
        self.assert_run(self.invoke(name), 1, False)
        self.assert_run(self.invoke(name), 1, True)
        self.put(name, COUNTER.replace("runs = 0", "runs = 100"), cacheable=True)
        self.assert_run(self.invoke(name), 101, False)
        self.assert_run(self.invoke(name), 101, True)
        self.assert_run(self.invoke(name, query="?version=1"), 1, True)
        status, body = self.server.call("PUT", f"/api/v1/functions/{name}/route", {"version": 1})
        self.assertEqual(status, 200, body)
        self.assert_run(self.invoke(name), 1, True)
        self.assertEqual(self.server.call("DELETE", f"/api/v1/functions/{name}")[0], 204)
        self.assertEqual(self.invoke(name)[0], 404)
        self.put(name, COUNTER.replace("runs = 0", "runs = 200"), cacheable=True)
        self.assert_run(self.invoke(name), 201, False)

    def test_a_session_with_a_script(self):
        context = {"cacheable": True, "team": "cache"}
        script = "return { run: process.hrtime.bigint().toString() };"

        def session(text=script):
            status, body = self.server.initialize("nodejs-scripted", text, context)
            self.assertEqual(status, 200, body)
            return body["request_id"]

        first = session()
        _, ran = self.server.execute(first, {"a": 1})
        _, again = self.server.execute(first, {"a": 1})
        self.assertEqual((ran["cached"], again["cached"]), (False, True))
        self.assertEqual(ran["result"], again["result"])
        self.assertEqual(self.server.call("PATCH", f"/api/v1/sessions/{first}", {"script_content": script + " "})[0], 200)
        self.assertFalse(self.server.execute(first, {"a": 1})[1]["cached"])
        self.assertEqual(self.server.call("DELETE", f"/api/v1/sessions/{first}")[0], 204)
        self.assertEqual(self.server.execute(first, {"a": 1})[0], 404)
        other = session(script + "// another")
        self.assertFalse(self.server.execute(other, {"a": 1})[1]["cached"])


class Errors(CacheTest):
    def test_an_error_is_never_kept(self):
        name = self.put(cacheable=True)
        for run in (1, 2):
            status, _, body = self.invoke(name, {"fail": True})
            self.assertEqual((status, body["error"]["message"]), (500, f"run {run}"), body)
        status, _, body = self.invoke(name, {"ms": 60_000}, context={"timeout_ms": 200})
        self.assertEqual((status, body["error"]["code"]), (504, "TIMEOUT"), body)
        self.assert_run(self.invoke(name), 1, False)  # by a fresh worker: the other was ended

    def test_each_waiter_has_its_own_deadline(self):
        name = self.put(cacheable=True)
        spans = []

        def call():
            status, _, body = self.invoke(name, {"ms": 600_000}, context={"timeout_ms": 1000})
            spans.append((status, body["error"]["code"]))

        threads = [threading.Thread(target=call) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(spans, [(504, "TIMEOUT")] * 6)
        durations = []

        def recorded():
            durations[:] = self.rows(f"SELECT duration_ms, cached FROM request_logs WHERE language_title = '{name}'")
            return len(durations) == 6
        wait_until(recorded, 60, "the records of six calls")
        for duration, cached in durations:
            self.assertGreaterEqual(duration, 1000, "nobody is answered before its own time is up")
            self.assertEqual(cached, 0)

    def test_a_caller_that_goes_leaves_the_others_their_result(self):
        name = self.put(cacheable=True)
        self.assert_run(self.invoke(name, {"warm": True}), 1, False)
        body = json.dumps({"params": {"ms": 1000}})
        first = self.server.connection()
        first.request("POST", f"/api/v1/functions/{name}/invoke", body, {"Content-Type": "application/json"})
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.invoke(name, body=body))) for _ in range(4)]
        for thread in threads:
            thread.start()
        first.close()
        for thread in threads:
            thread.join()
        for status, _, answer in answers:
            self.assertEqual(status, 200, answer)
        self.assertEqual(len({answer["result"]["run"] for _, _, answer in answers}), 1, "one run for all of them")
        self.assertLessEqual(sum(not answer["cached"] for _, _, answer in answers), 1, "and it is at most one call's own")


class Records(CacheTest):
    def test_each_answer_has_a_record_that_says_whether_it_was_cached(self):
        name = self.put(cacheable=True)
        answers = [self.invoke(name, {"password": "open sesame"})[2] for _ in range(3)]
        found = {}

        def recorded():
            found.update((row[0], row[1:]) for row in self.rows(
                "SELECT call_id, cached, status_code, response_payload, request_payload, logs FROM request_logs "
                f"WHERE language_title = '{name}'"))
            return len(found) == 3
        wait_until(recorded, 60, "three records")
        for answer, cached in zip(answers, (0, 1, 1)):
            self.assertEqual(found[answer["call_id"]], (
                cached, 200, '{"run":1,"pad":""}', '{"password": "***"}', "" if cached else "run 1\n"))


class Concurrency(CacheTest):
    def test_many_connections_on_several_server_threads(self):
        """Each of 20 keys runs once, whoever asks for it at the same time."""
        name = self.put(cacheable=True)
        answers, failures = {}, []

        def ask():
            connection = self.server.connection()
            try:
                for number in [*range(20)] * 5:
                    status, body = self.server.call("POST", f"/api/v1/functions/{name}/invoke", {"params": {"n": number, "ms": 2}},
                                                    connection=connection)
                    if status != 200:
                        failures.append(body)
                    answers.setdefault(number, []).append((body["result"]["run"], body["cached"]))
            finally:
                connection.close()

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual({run for got in answers.values() for run, _ in got}, set(range(1, 21)))
        for number, got in answers.items():
            self.assertEqual(len({run for run, _ in got}), 1, f"one run of key {number}")
            self.assertEqual(sum(not cached for _, cached in got), 1)


class OnByDefault(CacheTest):
    arguments = ("--cache-default", "on", "--cache-bytes-max", "1MiB", "--cache-ttl-seconds", "3600")

    def test_everything_is_kept_but_what_says_no(self):
        name = self.put()
        self.assert_run(self.invoke(name), 1, False)
        self.assert_run(self.invoke(name), 1, True)
        self.assert_run(self.invoke(name, control="no-store"), 2, False)
        silent = self.put(cacheable=False)
        self.assert_run(self.invoke(silent), 1, False)
        self.assert_run(self.invoke(silent), 2, False)

    def test_a_flood_of_keys_takes_no_more_than_its_bytes(self):
        name = self.put()
        self.assert_run(self.invoke(name, {"hot": True}), 1, False)
        for number in range(200):  # 12 KB each: more than twice what is kept
            self.assert_run(self.invoke(name, {"n": number, "pad": 12_000}), number + 2, False)
            self.assert_run(self.invoke(name, {"hot": True}), 1, True)
        kept = sum(self.invoke(name, {"n": number, "pad": 12_000}, control="max-age=9999")[2]["cached"] for number in range(200))
        self.assertLess(kept, 100, "1 MiB holds fewer than 90 of them")
        # Over its share of 1/64, 16 KiB: answered, not kept.
        for run in (1, 2):
            larger = self.invoke(name, {"pad": 17_000, "larger": True})
            self.assertFalse(larger[2]["cached"], run)


class ShortLife(unittest.TestCase):
    def test_the_time_to_live_comes_from_the_environment(self):
        with Server(environment={"CACHE_TTL_SECONDS": "1"}) as server:
            status, body = server.call("PUT", "/api/v1/functions/nodejs-n", {"content": COUNTER, "cacheable": True, **ONE_WORKER})
            self.assertEqual(status, 201, body)
            self.assertEqual(server.invoke("nodejs-n")[1]["result"]["run"], 1)
            wait_until(lambda: not server.invoke("nodejs-n")[1]["cached"], 30, "the end of a second")
            # Who accepts an older one keeps it for longer.
            headers = {"X-Cache-Control": "max-age=3600"}
            path, params = "/api/v1/functions/nodejs-n/invoke", {"params": {"kept": "longer"}}
            _, first = server.call("POST", path, params, headers)
            wait_until(lambda: not server.invoke("nodejs-n")[1]["cached"], 30, "the end of a second")
            _, again = server.call("POST", path, params, headers)
            self.assertEqual((again["cached"], again["result"]), (True, first["result"]))


if __name__ == "__main__":
    unittest.main(verbosity=2 if "-v" in sys.argv else 1)
