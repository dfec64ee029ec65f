"""What a client was told survives: kills of the server, a stop under load, a locked database, a full disk.

Each answered call is in `request_logs` exactly once, and sessions, functions and routes are as they were answered.
The default size is for every build; SEAM_E2E_FULL=1 kills the server ten times in 1,000 calls each.
"""

import collections
import http.client
import json
import os
import pathlib
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

from seam_server import Server, wait_until

FULL = os.environ.get("SEAM_E2E_FULL") == "1"
RESTARTS = 10 if FULL else 2
CALLS = 1000 if FULL else 200
CLIENTS = 6
# Runs the server as another user, to see that nothing needs root: "65534".
USER = os.environ.get("SEAM_E2E_USER")
PREFIX = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if USER else []


class DataFolder:
    """A data directory that outlives its servers."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="seam-durability-")
        os.chmod(self._folder.name, 0o755)
        self.path = pathlib.Path(self._folder.name) / "data"
        self.path.mkdir(mode=0o700)
        if USER:
            os.chown(self.path, int(USER), int(USER))

    def server(self, *arguments):
        return Server(data=str(self.path), arguments=arguments, prefix=PREFIX)

    def database(self):
        return sqlite3.connect(self.path / "seam.db", timeout=30)

    def rows(self, query):
        connection = self.database()
        try:
            return connection.execute(query).fetchall()
        finally:
            connection.close()

    def recorded(self):
        """How often each call is in the table."""
        return collections.Counter(call for (call,) in self.rows("SELECT call_id FROM request_logs"))

    def journals(self):
        return sorted(file.name for file in (self.path / "journal").glob("*.journal"))

    def cleanup(self):
        self._folder.cleanup()


def call_id_of(status, body):
    """The id of a call that ran, if the answer names one."""
    if status == 200:
        return body.get("call_id")
    return body["error"]["details"].get("call_id")


class Session:
    """What a client knows of a session: what it must be, or may be since a request went without an answer."""

    def __init__(self, server, name, value):
        self.name = name
        self.values = {value}
        self.sent = 0
        self.answered = 0
        self.ended = False  # a DELETE was sent
        status, body = server.initialize(name, self.script(value))
        assert status == 200, body
        self.id = body["request_id"]

    def script(self, value):
        if self.name.startswith("nodejs"):
            return f"return {value}"
        return f"def handle(params):\n    return {value}"

    def execute(self, call):
        self.sent += 1
        status, body = call("POST", f"/api/v1/execute/{self.id}", {"params": {"n": self.sent}})
        if status == 200:
            self.answered += 1
            assert body["result"] in self.values, (body, self.values)
        return status, body

    def patch(self, call, value):
        self.values = {*self.values, value}
        status, body = call("PATCH", f"/api/v1/sessions/{self.id}", {"script_content": self.script(value)})
        assert status == 200, body
        self.values = {value}


class Client(threading.Thread):
    """Calls until it has made its share or the server is gone. Its sessions are its own."""

    def __init__(self, server, calls, sessions, seed):
        super().__init__()
        self.server = server
        self.calls = calls
        self.sessions = sessions
        self.random = random.Random(seed)
        self.answered = []  # ids of calls
        self.others = []  # answers that name no call
        self.failure = None
        self.gone = False
        self.progress = 0

    def run(self):
        connection = self.server.connection(timeout=60)

        def call(method, path, body=None):
            return self.server.call(method, path, body, connection=connection)

        try:
            for _ in range(self.calls):
                self.one(call)
                self.progress += 1
        except (OSError, http.client.HTTPException):
            self.gone = True
        except json.JSONDecodeError as error:
            self.failure = f"an answer that is no JSON: {error}"
        except Exception as error:  # pylint: disable=broad-except
            self.failure = f"{type(error).__name__}: {error}"
        connection.close()

    def keep(self, answer, wanted=(200,)):
        status, body = answer
        if status not in wanted:
            self.others.append((status, body))
            return
        call = call_id_of(status, body)
        assert call, body
        self.answered.append(call)

    def one(self, call):
        what = self.random.random()
        if what < 0.15:
            self.keep(call("POST", "/api/v1/functions/nodejs-add/invoke", {"params": {"a": 1, "b": 2}}))
        elif what < 0.30:
            self.keep(call("POST", "/api/v1/functions/python-add/invoke", {"params": {"a": 1, "b": 2}}))
        elif what < 0.40:
            self.keep(call("POST", "/api/v1/functions/python-throws/invoke", {"params": {}}), wanted=(500,))
        elif what < 0.60:
            self.keep(call("POST", "/api/v1/functions/wasm-text_stats/invoke", {"params": {"text": "one two"}}))
        elif what < 0.98:
            self.keep(self.random.choice(self.sessions).execute(call))
        elif what < 0.99:
            self.random.choice(self.sessions).patch(call, self.random.randrange(1, 1 << 30))
        else:
            # Answered, it must be there after the kill. Not answered, nobody knows its id.
            self.sessions.append(Session(self.server, "python-new", self.random.randrange(1, 1 << 30)))


def register(server):
    for name, content in (
        ("nodejs-add", "module.exports = async (event) => event.params.a + event.params.b;"),
        ("python-add", "def handle(params):\n    return params['a'] + params['b']"),
        ("python-throws", "def handle(params):\n    raise ValueError('on purpose')"),
        ("python-routed", "def handle(params):\n    return 1"),
        ("python-routed", "def handle(params):\n    return 2"),
    ):
        status, body = server.call("PUT", f"/api/v1/functions/{name}", {"content": content})
        assert status in (200, 201), body
    status, body = server.call("PUT", "/api/v1/functions/python-routed/route", {"version": 1})
    assert status == 200, body


class Durability(unittest.TestCase):
    def setUp(self):
        self.data = DataFolder()
        self.addCleanup(self.data.cleanup)
        self.server = None
        self.addCleanup(self.end_server)

    def end_server(self):
        if self.server is not None and self.server.process is not None:
            self.server.stop(signal.SIGKILL)

    def start(self, *arguments):
        self.server = self.data.server(*arguments).start()
        return self.server

    def run_clients(self, calls, sessions, seed, until=None):
        """Lets them call; `until(clients)` may end the server meanwhile."""
        clients = [Client(self.server, calls // CLIENTS, sessions[i], seed * 100 + i) for i in range(CLIENTS)]
        for client in clients:
            client.start()
        if until:
            until(clients)
        for client in clients:
            client.join()
        self.assertEqual([client.failure for client in clients if client.failure], [])
        return clients

    def own_sessions(self):
        names = ("nodejs-session", "python-session")
        return [[Session(self.server, names[i % 2], i * 1000)] for i in range(CLIENTS)]

    def check_records(self, answered):
        recorded = self.data.recorded()
        self.assertEqual({call: times for call, times in recorded.items() if times > 1}, {}, "recorded more than once")
        self.assertEqual([call for call in answered if call not in recorded], [], "answered and not recorded")
        self.assertEqual(len(set(answered)), len(answered), "an id was given twice")
        return len(recorded)

    def check_state(self, sessions):
        """The server has what its predecessor told of. Returns the calls it took to see that."""
        calls = []
        for session in sessions:
            status, body = self.server.call("GET", f"/api/v1/sessions/{session.id}")
            self.assertEqual(status, 200, body)
            self.assertGreaterEqual(body["execution_count"], session.answered, body)
            self.assertLessEqual(body["execution_count"], session.sent, body)
            # One that was sent and not answered has run or not; from now on it is known.
            session.sent = session.answered = body["execution_count"]
            status, body = session.execute(self.server.call)
            self.assertEqual(status, 200, body)
            session.values = {body["result"]}
            calls.append(body["call_id"])
        status, body = self.server.invoke("python-routed")
        self.assertEqual((status, body.get("result")), (200, 1), body)
        calls.append(body["call_id"])
        _, body = self.server.call("GET", "/api/v1/functions?per_page=100")
        names = {one["language_title"] for one in body["functions"]}
        self.assertLessEqual({"nodejs-add", "python-add", "python-throws", "python-routed", "wasm-text_stats"}, names)
        _, body = self.server.call("GET", "/api/v1/functions/python-routed/versions")
        self.assertEqual([(one["version"], one["routed"]) for one in body["versions"]], [(2, False), (1, True)])
        return calls

    def test_a_killed_server_forgets_nothing_that_it_answered(self):
        begin = time.monotonic()
        self.start()
        register(self.server)
        sessions = self.own_sessions()
        chance = random.Random(20)
        answered = []
        unanswered_rounds = 0
        for restart in range(RESTARTS):
            at = chance.randrange(CALLS // 10, CALLS * 8 // 10)

            def kill(clients, at=at):
                wait_until(lambda: sum(client.progress for client in clients) >= at, 120, "the calls before the kill")
                self.server.process.send_signal(signal.SIGKILL)

            clients = self.run_clients(CALLS, sessions, restart, kill)
            self.server.stop()
            unanswered_rounds += any(client.gone for client in clients)
            self.assertEqual([other for client in clients for other in client.others], [])
            for client in clients:
                answered += client.answered
            self.start()
            # It serves only once all that was left in the journal is in the table.
            self.check_records(answered)
            answered += self.check_state([session for own in sessions for session in own])
            for own in sessions:
                for session in own[1:]:
                    self.assertEqual(self.server.call("DELETE", f"/api/v1/sessions/{session.id}")[0], 204)
                    session.ended = True
                del own[1:]
        self.assertEqual(unanswered_rounds, RESTARTS, "a kill came after the last answer")
        self.assertEqual(self.server.stop(), 0)
        recorded = self.check_records(answered)
        self.assertEqual(self.data.journals(), [])
        print(f"\n  {RESTARTS} kills, {RESTARTS * CALLS} calls planned: {len(answered)} answered, {recorded} recorded "
              f"(those more were cut off by a kill), {time.monotonic() - begin:.1f} s", flush=True)

    def test_a_session_answered_right_before_the_kill_is_there(self):
        self.start()
        for i in range(10 if FULL else 3):
            session = Session(self.server, "python-late", i)
            self.server.stop(signal.SIGKILL)
            self.start()
            self.assertEqual(session.execute(self.server.call)[0], 200)
            expiry = "2027-0%d-01T00:00:00.000000Z" % (1 + i % 9)
            path = f"/api/v1/sessions/{session.id}"
            self.assertEqual(self.server.call("PATCH", path, {"expires_at": expiry})[0], 200)
            session.patch(self.server.call, i + 1000)
            self.server.stop(signal.SIGKILL)
            self.start()
            status, body = self.server.call("GET", path)
            self.assertEqual((status, body.get("expires_at"), body.get("execution_count")), (200, expiry, 1), body)
            self.assertEqual(session.execute(self.server.call)[1]["result"], i + 1000)

    def test_a_stop_under_load_loses_nothing_and_leaves_no_journal(self):
        self.start()
        register(self.server)
        sessions = self.own_sessions()

        def stop(clients):
            wait_until(lambda: sum(client.progress for client in clients) >= CALLS // 4, 120, "some calls")
            self.server.process.send_signal(signal.SIGTERM)

        clients = self.run_clients(1000 * CLIENTS, sessions, 7, stop)
        self.assertEqual(self.server.process.wait(timeout=60), 0, self.server.log_text())
        self.server.stop()
        self.assertTrue(all(client.gone for client in clients))
        self.assertEqual([other for client in clients for other in client.others if other[0] != 503], [])
        answered = [call for client in clients for call in client.answered]
        # Exactly: a call that runs is answered, even in a drain.
        self.assertEqual(self.check_records(answered), len(answered))
        self.assertEqual(self.data.journals(), [])
        print(f"\n  stopped after {len(answered)} answers, all recorded", flush=True)

    def test_old_records_go(self):
        self.start()
        register(self.server)
        for _ in range(20):
            self.server.invoke("python-add", {"a": 1, "b": 2})
        self.server.stop()
        connection = self.data.database()
        with connection:
            ids = [row for (row,) in connection.execute("SELECT id FROM request_logs ORDER BY id")]
            connection.execute("UPDATE request_logs SET timestamp = '2020-01-01T00:00:00.000000Z' WHERE id <= ?", (ids[11],))
        connection.close()
        self.start("--records-keep-hours", "1")
        # The server looks for old records when it starts and then each minute.
        wait_until(lambda: len(self.data.rows("SELECT id FROM request_logs")) == 8, 30, "the end of old records")
        self.server.stop()
        self.start("--records-bytes-max", "1MiB")
        content = "def handle(params):\n    print('x' * 100000)\n    return 1"
        self.assertEqual(self.server.call("PUT", "/api/v1/functions/python-chatty", {"content": content})[0], 201)
        for _ in range(20):
            self.assertEqual(self.server.invoke("python-chatty")[0], 200)
        self.server.stop()
        self.assertEqual(len(self.data.recorded()), 28)
        self.start("--records-bytes-max", "1MiB")
        wait_until(lambda: len(self.data.recorded()) < 12, 30, "the end of the oldest records")
        self.assertGreater(len(self.data.recorded()), 8)
        self.server.stop()

    def fill_journal(self, name, tries=600):
        """Calls until one is not answered 200; returns the ids of the answered and the last answer."""
        answered = []
        for _ in range(tries):
            status, body = self.server.invoke(name)
            if status != 200:
                return answered, (status, body)
            answered.append(body["call_id"])
        return answered, None

    CHATTY = "def handle(params):\n    print('x' * 250000)\n    return 1"

    def test_a_locked_database_does_not_stop_calls_and_a_full_journal_does(self):
        self.start("--threads", "1", "--log-spool-bytes-max", "16MiB")
        register(self.server)
        self.assertEqual(self.server.call("PUT", "/api/v1/functions/python-chatty", {"content": self.CHATTY})[0], 201)
        self.assertEqual(self.server.invoke("python-chatty")[0], 200)
        session = Session(self.server, "python-session", 5)
        lock = self.data.database()
        lock.isolation_level = None
        lock.execute("BEGIN EXCLUSIVE")
        answered = []
        for name in ("nodejs-add", "python-add"):
            for _ in range(20):
                status, body = self.server.invoke(name, {"a": 1, "b": 2})
                self.assertEqual(status, 200, body)
                answered.append(body["call_id"])
        status, body = session.execute(self.server.call)
        self.assertEqual(status, 200, body)
        answered.append(body["call_id"])
        more, refused = self.fill_journal("python-chatty")
        answered += more
        self.assertIsNotNone(refused, "the journal never got full")
        self.assertEqual((refused[0], refused[1]["error"]["code"]), (503, "UNAVAILABLE"), refused)
        self.assertIn("journal", refused[1]["error"]["message"])
        # What must be in the database before it is answered is refused, and clearly.
        status, body = self.server.initialize("python-x", "result = 1")
        self.assertEqual((status, body["error"]["code"]), (503, "UNAVAILABLE"), body)
        self.assertEqual(self.server.call("GET", "/livez")[0], 200)
        lock.execute("ROLLBACK")
        lock.close()
        wait_until(lambda: self.server.invoke("python-add", {"a": 1, "b": 2})[0] == 200, 30, "room in the journal")
        self.assertEqual(self.server.initialize("python-x", "result = 1")[0], 200)
        self.assertEqual(self.server.stop(), 0)
        self.check_records(answered)
        self.assertEqual(self.data.journals(), [])
        print(f"\n  {len(answered)} calls answered while the database was locked, until the journal was full", flush=True)

    def test_calls_go_on_without_records_if_the_settings_say_so(self):
        self.start("--threads", "1", "--log-spool-bytes-max", "16MiB", "--log-on-full", "drop")
        register(self.server)
        self.assertEqual(self.server.call("PUT", "/api/v1/functions/python-chatty", {"content": self.CHATTY})[0], 201)
        lock = self.data.database()
        lock.isolation_level = None
        lock.execute("BEGIN EXCLUSIVE")
        answered, refused = self.fill_journal("python-chatty", 100)
        self.assertIsNone(refused)
        self.assertRegex(self.server.log_text(), r"\d+ records of calls could not be kept so far")
        lock.execute("ROLLBACK")
        lock.close()

        def kept_again():
            status, body = self.server.invoke("python-add", {"a": 1, "b": 2})
            self.assertEqual(status, 200, body)
            answered.append(body["call_id"])
            time.sleep(0.2)
            return body["call_id"] in self.data.recorded()

        wait_until(kept_again, 30, "a record after the lock")
        self.assertEqual(self.server.stop(), 0)
        recorded = self.data.recorded()
        self.assertGreater(len(recorded), 30)
        self.assertLess(len(recorded), len(answered))
        self.assertEqual(set(recorded.values()), {1})

    @unittest.skipUnless(os.geteuid() == 0, "needs root: it mounts a small disk")
    def test_a_full_disk(self):
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "seam-test", str(self.data.path)], capture_output=True, text=True)
        if mounted.returncode != 0:
            self.skipTest(f"mount: {mounted.stderr}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(self.data.path)], check=True)
        if USER:
            os.chown(self.data.path, int(USER), int(USER))
        self.start("--threads", "1", "--log-spool-bytes-max", "32MiB")
        register(self.server)
        self.assertEqual(self.server.call("PUT", "/api/v1/functions/python-chatty", {"content": self.CHATTY})[0], 201)
        session = Session(self.server, "python-session", 5)
        ballast = self.data.path / "ballast"
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                pass
        answered, refused = self.fill_journal("python-chatty")
        self.assertIsNotNone(refused, "the disk never got full")
        self.assertEqual((refused[0], refused[1]["error"]["code"]), (503, "UNAVAILABLE"), refused)
        status, body = self.server.initialize("python-x", "result = 1")
        self.assertEqual((status, body["error"]["code"]), (503, "UNAVAILABLE"), body)
        self.assertIn("full", body["error"]["message"])
        status, body = self.server.call("PUT", "/api/v1/functions/python-new", {"content": "result = 1"})
        self.assertEqual((status, body["error"]["code"]), (503, "UNAVAILABLE"), body)
        status, body = self.server.call("PATCH", f"/api/v1/sessions/{session.id}", {"script_content": session.script(6)})
        self.assertEqual((status, body["error"]["code"]), (503, "UNAVAILABLE"), body)
        self.assertEqual(self.server.call("GET", "/livez")[0], 200)
        self.assertEqual(self.server.call("GET", "/health")[0], 200)
        ballast.unlink()
        wait_until(lambda: self.server.invoke("python-add", {"a": 1, "b": 2})[0] == 200, 30, "room on the disk")
        self.assertEqual(session.execute(self.server.call)[1]["result"], 5)
        self.assertEqual(self.server.initialize("python-x", "result = 1")[0], 200)
        self.assertEqual(self.server.stop(), 0, self.server)
        self.check_records(answered)
        self.assertEqual(self.data.journals(), [])
        print(f"\n  {len(answered)} calls answered on a full disk, until the journal was full", flush=True)

    @unittest.skipIf(os.geteuid() != 0, "only root may run ldconfig")
    def test_workers_start_after_a_library_was_installed(self):
        server = self.start()
        self.assertEqual(server.run_script("python-before", "result = 1")[0], 200)
        # As every package with a library does: /etc/ld.so.cache is another file then.
        subprocess.run(["/sbin/ldconfig"], check=True)
        for i in range(4):
            for language, script in (("python", "import sqlite3\nresult = params"), ("nodejs", "return event.params;")):
                status, body = server.run_script(f"{language}-after_{i}", script, [i])
                self.assertEqual((status, body.get("result")), (200, [i]), body)
        self.assertEqual(server.stop(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
