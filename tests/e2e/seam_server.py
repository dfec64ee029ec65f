"""Starts a real server for a test and talks to it.

    with Server() as server:
        status, body = server.call("GET", "/health")
"""

import http.client
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import time

SEAM = pathlib.Path(os.environ.get("SEAM_BINARY", "build/release/seam")).resolve()


class Server:
    """A `seam serve` of its own, on a free port, with a data directory that may be kept between starts."""

    def __init__(self, data=None, arguments=(), environment=None, prefix=()):
        self._folder = None
        if data is None:
            self._folder = tempfile.TemporaryDirectory(prefix="seam-e2e-")
            data = self._folder.name
            os.chmod(data, 0o755)
            data = os.path.join(data, "data")
        self.data = data
        self.arguments = list(arguments)
        self.environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})}
        self.prefix = list(prefix)
        self.process = None
        self.port = None

    def start(self, port=0):
        command = [*self.prefix, str(SEAM), "serve", "--json", "--port", str(port), "--data", str(self.data), *self.arguments]
        self.log = tempfile.TemporaryFile()
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=self.environment, cwd="/")
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            text = self.log_text()
            self.process.stdout.close()
            self.log.close()
            raise AssertionError(f"the server did not start: {text}")
        self.started = json.loads(line)
        self.port = int(self.started["url"].rsplit(":", 1)[1])
        return self

    def log_text(self):
        if self.log.closed:
            return ""
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def stop(self, number=signal.SIGTERM, timeout=60):
        """Ends the server by a signal and returns its exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=timeout)
        self.process.stdout.close()
        self.process = None
        self.log.close()
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        self.stop(signal.SIGTERM)
        if self._folder:
            self._folder.cleanup()

    def connection(self, timeout=120):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None, connection=None):
        """Returns status, headers and the body's bytes."""
        mine = connection or self.connection()
        headers = dict(headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        mine.request(method, path, body=body.encode() if isinstance(body, str) else body, headers=headers)
        answer = mine.getresponse()
        data = answer.read()
        if connection is None:
            mine.close()
        return answer.status, answer.headers, data

    def call(self, method, path, body=None, headers=None, connection=None):
        """Returns status and the parsed body (None if there is none)."""
        status, _, data = self.request(method, path, body, headers, connection)
        return status, json.loads(data) if data else None

    def initialize(self, name, script=None, context=None):
        body = {}
        if script is not None:
            body["script_content"] = script
        if context is not None:
            body["context"] = context
        return self.call("POST", "/api/v1/initialize", body, {"Language-Title": name})

    def execute(self, session, params=None):
        return self.call("POST", f"/api/v1/execute/{session}", {"params": {} if params is None else params})

    def invoke(self, name, params=None, **more):
        return self.call("POST", f"/api/v1/functions/{name}/invoke", {"params": {} if params is None else params, **more})

    def run_script(self, name, script, params=None, context=None):
        """Initializes, executes once, ends; returns execute's status and body."""
        status, session = self.initialize(name, script, context)
        if status != 200:
            return status, session
        try:
            return self.execute(session["request_id"], params)
        finally:
            self.call("DELETE", f"/api/v1/sessions/{session['request_id']}")


def wait_until(condition, seconds=10.0, what="the condition"):
    """Polls until it holds; the limit is only there so that a failing test ends."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come within {seconds} s")
        time.sleep(0.01)


def children_of(pid):
    """All processes below pid, as far as /proc shows them."""
    parents = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                    fields = file.read().rsplit(")", 1)[1].split()
                if fields[0] != "Z":
                    parents[int(entry)] = int(fields[1])
            except OSError:
                pass
    found, wanted = [], [pid]
    while wanted:
        parent = wanted.pop()
        for child, of in parents.items():
            if of == parent:
                found.append(child)
                wanted.append(child)
    return found
