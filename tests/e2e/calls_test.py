"""What has happened, as a client sees it: records of calls, logs, and logs that are followed."""

import json
import os
import signal
import socket
import subprocess
import threading
import time
import unittest

from seam_server import SEAM, Server, wait_until

PRINTS = 'console.log("out " + event.params.n); console.error("err " + event.params.n); return event.params.n;'
FAILS = 'console.log("before"); throw new TypeError("it broke");'
STORM = 'const line = "x".repeat(1200); for (let i = 0; i < event.params.lines; i++) console.log(line); return 1;'


class Follower:
    """Reads a stream of lines on a thread of its own."""

    def __init__(self, server, query=""):
        self.connection = server.connection()
        self.connection.request("GET", f"/api/v1/logs?follow=true{query}")
        self.answer = self.connection.getresponse()
        self.lines, self.ended = [], threading.Event()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for line in self.answer:
                self.lines.append(json.loads(line))
        except (OSError, ValueError, AttributeError):
            pass
        self.ended.set()

    def texts(self):
        return [line.get("text") for line in self.lines]

    def close(self):
        if self.connection.sock:
            self.connection.sock.shutdown(socket.SHUT_RDWR)
        else:
            self.answer.fp.raw._sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(10)
        self.answer.close()
        self.connection.close()


def put(server, name, content):
    status, body = server.call("PUT", f"/api/v1/functions/{name}", {"content": content})
    assert status in (200, 201), body


def cli(*arguments):
    environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NO_COLOR": "1"}
    return subprocess.run([str(SEAM), *arguments], capture_output=True, text=True, timeout=60, env=environment, check=False)


class CallsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server().start()
        put(cls.server, "nodejs-prints", PRINTS)
        put(cls.server, "nodejs-fails", FAILS)
        put(cls.server, "nodejs-storm", STORM)
        cls.url = f"http://127.0.0.1:{cls.server.port}"

    @classmethod
    def tearDownClass(cls):
        status = cls.server.stop()
        cls.server._folder.cleanup()
        assert status == 0, status

    def get(self, path, status=200):
        got, body = self.server.call("GET", path)
        self.assertEqual(got, status, body)
        return body

    def invoke(self, name, params=None, status=200):
        got, body = self.server.invoke(name, params or {})
        self.assertEqual(got, status, body)
        return body

    def test_a_call_is_found_as_soon_as_it_is_answered(self):
        for n in range(5):
            call_id = self.invoke("nodejs-prints", {"n": n, "password": "hush"})["call_id"]
            call = self.get(f"/api/v1/calls/{call_id}")
            self.assertEqual(call["call_id"], call_id)
            self.assertEqual(call["language_title"], "nodejs-prints")
            self.assertEqual((call["status"], call["status_code"], call["error"]), ("ok", 200, None))
            self.assertEqual(call["version"], 1)
            self.assertIsNone(call["session"])
            self.assertEqual([stage["name"] for stage in call["stages"]], ["queue", "start", "run"])
            self.assertGreater(call["duration_ms"], 0)
            self.assertEqual(json.loads(call["request_payload"]), {"n": n, "password": "***"})
            self.assertEqual(call["response_payload"], str(n))
            self.assertEqual([(line["line"], line["stream"], line["text"]) for line in call["logs"]],
                             [(1, "stdout", f"out {n}"), (2, "stderr", f"err {n}")])

    def test_a_failed_call_tells_why(self):
        body = self.invoke("nodejs-fails", status=500)
        call = self.get(f"/api/v1/calls/{body['error']['details']['call_id']}")
        self.assertEqual((call["status"], call["status_code"]), ("error", 500))
        self.assertEqual(call["error"]["code"], "RUNTIME_ERROR")
        self.assertIn("it broke", call["error"]["message"])
        self.assertIn("TypeError", call["error"]["stack_trace"])
        self.assertEqual(call["logs"][0]["text"], "before")

    def test_lists_are_filtered_and_paged(self):
        put(self.server, "nodejs-listed", "if (event.params.fail) throw new Error('x'); return 1;")
        ids = [self.invoke("nodejs-listed")["call_id"] for _ in range(5)]
        failed = self.invoke("nodejs-listed", {"fail": 1}, 500)["error"]["details"]["call_id"]
        _, session = self.server.initialize("nodejs-listed")
        status, in_session = self.server.execute(session["request_id"])
        self.assertEqual(status, 200, in_session)

        def listed(query):
            page = self.get(f"/api/v1/calls?function=nodejs-listed{query}")
            return page["total"], [call["call_id"] for call in page["calls"]]

        everything = [in_session["call_id"], failed, *reversed(ids)]
        self.assertEqual(listed(""), (7, everything))
        self.assertEqual(listed("&per_page=3&page=2"), (7, everything[3:6]))
        self.assertEqual(listed("&per_page=3&page=9"), (7, []))
        for status in ("error", "500", "RUNTIME_ERROR"):
            self.assertEqual(listed(f"&status={status}"), (1, [failed]))
        self.assertEqual(listed("&status=ok")[0], 6)
        self.assertEqual(listed("&status=TIMEOUT"), (0, []))
        self.assertEqual(listed(f"&session={session['request_id']}"), (1, [in_session["call_id"]]))
        self.assertEqual(listed("&since=1h"), (7, everything))
        self.assertEqual(listed("&until=1h"), (0, []))
        first = self.get(f"/api/v1/calls/{ids[0]}")
        self.assertEqual(first["session"], None)
        self.assertEqual(listed(f"&until={first['started_at']}"), (0, []))
        self.assertEqual(listed(f"&since={first['started_at']}")[0], 7)

    def test_wrong_questions_are_refused_with_the_remedy(self):
        for path, part in (
                ("calls?status=fine", "status 'fine': give ok, error, an HTTP status such as 504"),
                ("calls?status=99", "status '99'"),
                ("calls?since=yesterday", "since: 'yesterday' is not a moment"),
                ("calls?until=1.5h", "until: '1.5h' is not a moment"),
                ("calls?session=x", "session 'x' is no session's id"),
                ("calls?function=", "function is empty"),
                ("calls?page=0", "page must be from 1"),
                ("calls?per_page=101", "per_page must be from 1 to 100"),
                ("calls?page=501", "page 501 goes beyond the newest 10000"),
                ("calls/nonsense", "'nonsense' is no call's id"),
                ("logs?call=x", "'x' is no call's id"),
                ("logs?follow=maybe", "'maybe' is not true or false"),
                ("logs?follow=true&page=2", "follow takes no until, page or per_page")):
            body = self.get(f"/api/v1/{path}", 400)
            self.assertEqual(body["error"]["code"], "INVALID_REQUEST")
            self.assertIn(part, body["error"]["message"])
        body = self.get("/api/v1/calls/00000000-0000-4000-8000-000000000000", 404)
        self.assertEqual(body["error"]["code"], "NOT_FOUND")

    def test_logs_are_a_page_or_lines(self):
        put(self.server, "nodejs-paged", PRINTS)
        ids = [self.invoke("nodejs-paged", {"n": n})["call_id"] for n in range(3)]
        page = self.get("/api/v1/logs?function=nodejs-paged")
        self.assertEqual(page["total"], 3)
        self.assertEqual([line["text"] for line in page["logs"]],
                         [f"{stream} {n}" for n in range(3) for stream in ("out", "err")])
        self.assertEqual([line["call_id"] for line in page["logs"]], [i for i in ids for _ in range(2)])
        status, headers, data = self.server.request(
            "GET", f"/api/v1/logs?call={ids[1]}", headers={"Accept": "application/x-ndjson"})
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-ndjson"))
        self.assertEqual([json.loads(line)["text"] for line in data.splitlines()], ["out 1", "err 1"])

    def test_two_clients_follow(self):
        put(self.server, "nodejs-other", PRINTS)
        everything, one = Follower(self.server), Follower(self.server, "&function=nodejs-prints")
        self.assertEqual(one.answer.headers["Content-Type"], "application/x-ndjson")
        self.invoke("nodejs-other", {"n": 1})
        self.invoke("nodejs-prints", {"n": 2})
        wait_until(lambda: len(everything.lines) >= 4 and len(one.lines) >= 2, what="both followers' lines")
        self.assertEqual(one.texts(), ["out 2", "err 2"])
        self.assertEqual(sorted(everything.texts()), ["err 1", "err 2", "out 1", "out 2"])
        everything.close()
        one.close()

    def test_lines_come_while_the_call_runs(self):
        put(self.server, "nodejs-slow", 'console.log("begun"); await new Promise(r => setTimeout(r, 60000)); return 1;')
        follower = Follower(self.server, "&function=nodejs-slow")
        caller = threading.Thread(
            target=lambda: self.server.invoke("nodejs-slow", {}, context={"timeout_ms": 3000}), daemon=True)
        caller.start()
        wait_until(lambda: follower.texts() == ["begun"], what="the line of a running call")
        self.assertTrue(caller.is_alive())
        caller.join()
        follower.close()

    def test_following_begins_with_the_past_and_tells_each_line_once(self):
        put(self.server, "nodejs-past", PRINTS)
        stop, done = threading.Event(), []

        def keep_calling():
            while not stop.is_set():
                done.append(self.server.invoke("nodejs-past", {"n": len(done)})[1]["call_id"])

        caller = threading.Thread(target=keep_calling)
        caller.start()
        wait_until(lambda: len(done) > 10)
        follower = Follower(self.server, "&function=nodejs-past&since=1h")
        begun = len(done)
        wait_until(lambda: len(done) > begun + 20)
        stop.set()
        caller.join()
        wait_until(lambda: len(follower.lines) >= 2 * min(len(done), 100), what="every line")
        seen = [(line["call_id"], line["line"]) for line in follower.lines]
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual(set(seen), {(i, n) for i in done for n in (1, 2)})
        self.assertLessEqual({(i, n) for i in done[-20:] for n in (1, 2)}, set(seen))
        follower.close()

    def test_a_follower_that_does_not_read_costs_nothing_but_its_own_lines(self):
        slow = self.server.connection()
        slow.connect()
        slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        slow.request("GET", "/api/v1/logs?follow=true")
        answer = slow.getresponse()
        reading = Follower(self.server, "&function=nodejs-prints")
        quiet, counts = [], {"dropped": 0, "storm": 0}

        def take_line():
            line = json.loads(answer.readline())
            if "dropped" in line:
                self.assertEqual(line["function"], "nodejs-storm")
                counts["dropped"] += line["dropped"]
            elif line["function"] == "nodejs-storm":
                counts["storm"] += 1
            elif line["function"] == "nodejs-prints":
                quiet.append(line["text"])

        storms = 40
        for _ in range(storms):
            self.invoke("nodejs-storm", {"lines": 200})  # 10 MB of lines in all
            for _ in range(4):  # so that it is slow, not dead
                take_line()
        for n in range(10):
            self.invoke("nodejs-prints", {"n": n})
        wait_until(lambda: len(reading.lines) >= 20, what="the other follower's lines")
        self.assertEqual(reading.texts(), [f"{s} {n}" for n in range(10) for s in ("out", "err")])
        reading.close()
        # Now it reads: some of the storm, how much was dropped, and every line of the quiet function.
        while sum(counts.values()) < storms * 200 or len(quiet) < 20:
            take_line()
        self.assertEqual(quiet, reading.texts())
        self.assertEqual(sum(counts.values()), storms * 200)
        self.assertGreater(counts["dropped"], 0)
        answer.close()
        slow.close()

    def test_followers_are_bounded(self):
        followers = []
        try:
            for _ in range(64):
                followers.append(Follower(self.server, "&function=nodejs-none"))
            status, headers, body = self.server.request("GET", "/api/v1/logs?follow=true")
            self.assertEqual(status, 503, body)
            self.assertIn("Retry-After", headers)
        finally:
            for follower in followers:
                follower.close()
        wait_until(lambda: self._may_follow(), what="room for a follower")

    def _may_follow(self):
        follower = Follower(self.server)
        status = follower.answer.status
        follower.close()
        return status == 200

    def test_the_command_line_shows_calls(self):
        call_id = self.invoke("nodejs-fails", status=500)["error"]["details"]["call_id"]
        table = cli("calls", "nodejs-fails", "--status", "error", "--url", self.url)
        self.assertEqual((table.returncode, table.stderr), (0, ""))
        self.assertIn(call_id, table.stdout)
        self.assertIn("RUNTIME_ERROR", table.stdout)
        picture = cli("calls", call_id, "--url", self.url)
        self.assertEqual(picture.returncode, 0, picture.stderr)
        for part in ("nodejs-fails", "RUNTIME_ERROR", "it broke", "queue", "run", "ms", "before"):
            self.assertIn(part, picture.stdout)
        self.assertEqual(json.loads(cli("calls", call_id, "--json", "--url", self.url).stdout)["call_id"], call_id)
        self.assertEqual(cli("calls", "nodejs-none", "--url", self.url).stdout, "No calls.\n")
        wrong = cli("calls", "--since", "soon", "--url", self.url)
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("is not a moment", wrong.stderr)
        self.assertEqual(cli("calls", "--url", "http://127.0.0.1:1").returncode, 3)

    def test_the_command_line_shows_logs_and_no_escapes(self):
        put(self.server, "nodejs-escapes", 'console.log("a\\u001b[2Jb\\u009bc\\ttab"); return 1;')
        call_id = self.invoke("nodejs-escapes")["call_id"]
        shown = cli("logs", "nodejs-escapes", "--since", "15m", "--url", self.url)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertTrue(shown.stdout.endswith(" nodejs-escapes a\\x1b[2Jb\\x9bc\ttab\n"), shown.stdout)
        line = json.loads(cli("logs", "--call", call_id, "--json", "--url", self.url).stdout)
        self.assertEqual(line["text"], "a\u001b[2Jb\u009bc\ttab")


class RestartTest(unittest.TestCase):
    def test_following_goes_on_when_the_server_comes_back(self):
        server = Server()
        with server:
            put(server, "nodejs-prints", PRINTS)
            port = server.port
            environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "NO_COLOR": "1"}
            follower = subprocess.Popen(
                [str(SEAM), "logs", "-f", "--json", "--url", f"http://127.0.0.1:{port}"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
            lines = []
            reader = threading.Thread(target=lambda: lines.extend(iter(follower.stdout.readline, "")), daemon=True)
            reader.start()

            def texts():
                return [json.loads(line)["text"] for line in lines]

            calls = 0
            while not lines:  # until it is connected
                server.invoke("nodejs-prints", {"n": 0})
                calls += 1
                time.sleep(0.05)
            first = server.invoke("nodejs-prints", {"n": "first"})[0]
            self.assertEqual(first, 200)
            wait_until(lambda: "err first" in texts(), what="the line before the restart")
            for number in (signal.SIGTERM, signal.SIGKILL):
                server.stop(number)
                server.arguments = ["--port", str(port)]
                server.start()
                self.assertEqual(server.port, port)
                # Nobody follows yet, perhaps: it is shown all the same.
                self.assertEqual(server.invoke("nodejs-prints", {"n": f"after {number.name}"})[0], 200)
                wait_until(lambda: f"err after {number.name}" in texts(), what="the line after the restart")  # noqa: B023
            self.assertEqual(texts().count("out first"), 1)
            self.assertEqual(texts().count("out after SIGTERM"), 1)
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(10), 0)
            reader.join(10)
            self.assertEqual(follower.stderr.read(), "")
            follower.stdout.close()
            follower.stderr.close()

    def test_a_drain_ends_followers(self):
        with Server() as server:
            follower = Follower(server)
            self.assertEqual(server.stop(), 0)
            self.assertTrue(follower.ended.wait(10))


class ServerLogTest(unittest.TestCase):
    """The server's own log on stderr."""

    def lines(self, *arguments):
        server = Server(arguments=["--isolation", "off", *arguments])
        with server:
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(30)
            text = server.log_text()
        return text.splitlines()

    def test_json_is_one_object_a_line(self):
        lines = [json.loads(line) for line in self.lines("--log-format", "json")]
        self.assertIn("stopped", [line["message"] for line in lines])
        for line in lines:
            self.assertEqual(set(line), {"time", "level", "message"})
            self.assertRegex(line["time"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")
        self.assertEqual({line["level"] for line in lines}, {"warning", "info"})

    def test_text_is_for_people(self):
        lines = self.lines("--log-format", "text")
        self.assertRegex(lines[-1], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info stopped$")


if __name__ == "__main__":
    unittest.main()
