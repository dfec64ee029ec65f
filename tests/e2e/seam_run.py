"""Starts `seam run` for a test and reads what it says.

    with Run("greet.js") as run:
        run.wait_for("reloaded", version=1)
        status, body = run.invoke({"name": "Ada"})
"""

import http.client
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading

from seam_server import SEAM


def module(text):
    """A WebAssembly reactor that answers {"said": text}, made by hand: no compiler is needed."""
    result = json.dumps({"said": text}).encode()

    def leb(value):
        out = bytearray()
        while True:
            byte = value & 0x7F
            value >>= 7
            done = (value == 0 and not byte & 0x40)
            out.append(byte if done else byte | 0x80)
            if done:
                return bytes(out)

    def section(number, body):
        return bytes([number]) + leb_u(len(body)) + body

    def leb_u(value):
        out = bytearray()
        while True:
            byte = value & 0x7F
            value >>= 7
            out.append(byte | (0x80 if value else 0))
            if not value:
                return bytes(out)

    def export(name, kind, index):
        return leb_u(len(name)) + name.encode() + bytes([kind, index])

    def code(body):
        body = b"\x00" + body + b"\x0b"
        return leb_u(len(body)) + body

    types = b"\x02" + b"\x60\x01\x7f\x01\x7f" + b"\x60\x02\x7f\x7f\x01\x7e"
    exports = b"\x03" + export("memory", 2, 0) + export("alloc", 0, 0) + export("handle", 0, 1)
    codes = b"\x02" + code(b"\x41" + leb(2048)) + code(b"\x42" + leb(1024 << 32 | len(result)))
    data = b"\x01\x00\x41" + leb(1024) + b"\x0b" + leb_u(len(result)) + result
    return (b"\x00asm\x01\x00\x00\x00" + section(1, types) + section(3, b"\x02\x00\x01") + section(5, b"\x01\x00\x01")
            + section(7, exports) + section(10, codes) + section(11, data))


class Run:
    """A `seam run` on a free port, with its own TMPDIR, so that what it leaves behind is seen."""

    def __init__(self, *arguments, cwd="/", port="0", json_lines=True, tmp=None):
        self._folder = tempfile.TemporaryDirectory(prefix="seam-test-run-")
        os.chmod(self._folder.name, 0o755)
        self.tmp = tmp or self._folder.name
        self.arguments = [str(argument) for argument in arguments]
        self.command = [str(SEAM), "run", *self.arguments]
        if json_lines:
            self.command.append("--json")
        if port is not None:
            self.command += ["--port", port]
        self.cwd = cwd
        self.events = []
        self._queue = queue.Queue()
        self.process = None

    def start(self):
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": os.environ.get("HOME", "/"),
                       "TMPDIR": self.tmp}
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=self.errors, cwd=self.cwd, env=environment)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        return self

    def _read(self):
        for line in self.process.stdout:
            self._queue.put(line.decode())
        self._queue.put(None)

    def next_line(self, seconds=60):
        return self._queue.get(timeout=seconds)

    def next_event(self, seconds=60):
        line = self.next_line(seconds)
        if line is None:
            raise AssertionError(f"seam run ended: {self.error_text()}")
        self.events.append(json.loads(line))
        return self.events[-1]

    def wait_for(self, event, **members):
        """The next event of this kind whose members are these."""
        while True:
            seen = self.next_event()
            if seen["event"] == event and all(seen.get(name) == value for name, value in members.items()):
                return seen

    def ready(self):
        """Waits until the first version answers."""
        self.url = self.wait_for("listening")["url"]
        self.function = self.events[-1]["function"]
        self.wait_for("reloaded", version=1)
        return self

    def error_text(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors="replace")

    def invoke(self, params=None, name=None):
        connection = http.client.HTTPConnection("127.0.0.1", int(self.url.rsplit(":", 1)[1]), timeout=60)
        connection.request("POST", f"/api/v1/functions/{name or self.function}/invoke",
                           body=json.dumps({"params": {} if params is None else params}),
                           headers={"Content-Type": "application/json"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body

    def stop(self, number=signal.SIGINT):
        """Ends it by a signal and returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(timeout=60)
        self._reader.join()
        self.process.stdout.close()
        self.errors.close()
        return status

    def __enter__(self):
        return self.start()

    def __exit__(self, *unused):
        if not self.errors.closed:
            self.stop()
        self._folder.cleanup()
