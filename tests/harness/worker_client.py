"""A server's side of the worker protocol, for tests: starts a harness on a socket pair, without a
sandbox, and speaks frames with it.

    with Worker("python", "def handle(params): return params") as worker:
        assert worker.call({"a": 1}).value == {"a": 1}
"""

import json
import os
import socket
import struct
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
NODE = os.environ.get("SEAM_NODE", "node")
PYTHON = os.environ.get("SEAM_PYTHON", sys.executable)
COMMANDS = {
    "node": [NODE, "--experimental-vm-modules", os.path.join(ROOT, "guests/node/worker.js")],
    "python": [PYTHON, "-I", "-B", "-X", "utf8", "-c",
               f"import sys; sys.path.insert(0, {os.path.join(ROOT, 'guests/python')!r}); import worker; worker.serve(3)"],
}

LOAD, CALL = 0x01, 0x02
READY, LOADED, RESULT, FAILURE, LOG = 0x80, 0x81, 0x82, 0x83, 0x84


# Descriptor 3 is taken here, so that the child may put its socket there without closing the pipe by
# which subprocess reports its errors.
while os.open(os.devnull, os.O_RDONLY) <= 3:
    pass


class WorkerEnded(Exception):
    """The worker closed its socket; `status` is what it ended with."""

    def __init__(self, status):
        super().__init__(f"the worker ended with {status}")
        self.status = status


class Outcome:
    """How a load or a call ended: `type` of the last frame, its `text`, and the log before it."""

    def __init__(self, type_, text, logs):
        self.type = type_
        self.text = text
        self.logs = logs  # [(stream, bytes)]

    @property
    def value(self):
        assert self.type == RESULT, f"a failure came: {self.text[:2000]!r}"
        return json.loads(self.text)

    @property
    def failure(self):
        assert self.type == FAILURE, f"no failure came: {self.type:#x} {self.text[:200]!r}"
        return json.loads(self.text)

    def log(self, *streams):
        return b"".join(text for stream, text in self.logs if stream in (streams or (0, 1)))

    @property
    def dropped(self):
        counts = [int(text) for stream, text in self.logs if stream == 2]
        assert len(counts) <= 1 and (not counts or self.logs[-1][0] == 2), self.logs[-3:]
        return counts[0] if counts else 0


class Worker:
    def __init__(self, language, source, entry="", environment=None, load=True, **limits):
        ours, theirs = socket.socketpair()
        self.socket = ours
        # The raw standard streams: what no harness sees, such as a crash message of the interpreter.
        self.process = subprocess.Popen(
            COMMANDS[language],
            preexec_fn=lambda: os.dup2(theirs.fileno(), 3),
            pass_fds=[3],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        theirs.close()
        self.received = bytearray()
        assert self.read_frame() == (READY, b"{}")
        self.send_load(language, source, entry, environment or {}, **limits)
        self.loaded = None
        if load:
            self.loaded = self.read_outcome()
            assert self.loaded.type in (LOADED, FAILURE), self.loaded.type

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()
        if self.process.poll() is None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()

    def raw_output(self):
        """Ends the worker and gives what it wrote to its descriptors 1 and 2."""
        self.socket.close()
        return self.process.communicate(timeout=20)[0]

    def send_frame(self, type_, head, rest):
        payload = struct.pack("<I", len(head)) + head + rest
        self.socket.sendall(struct.pack("<IB", len(payload) + 1, type_) + payload)

    def send_load(self, language, source, entry, environment, log_bytes_max=256 << 10, result_bytes_max=16 << 20):
        header = {
            "language_title": f"{language}-test",
            "entry": entry,
            "environment": environment,
            "log_bytes_max": log_bytes_max,
            "result_bytes_max": result_bytes_max,
        }
        source = source if isinstance(source, bytes) else source.encode()
        self.send_frame(LOAD, json.dumps(header).encode(), source)

    def send_call(self, params=None, context=None):
        params = params if isinstance(params, bytes) else json.dumps(params).encode()
        context = context if isinstance(context, bytes) else json.dumps(context or {}).encode()
        self.send_frame(CALL, context, params)

    def call(self, params=None, context=None):
        self.send_call(params, context)
        return self.read_outcome()

    def read_bytes(self, count):
        while len(self.received) < count:
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionResetError:
                more = b""
            if not more:
                raise WorkerEnded(self.process.wait())
            self.received += more
        data = bytes(self.received[:count])
        del self.received[:count]
        return data

    def read_frame(self):
        length, type_ = struct.unpack("<IB", self.read_bytes(5))
        return type_, self.read_bytes(length - 1)

    def read_outcome(self):
        logs = []
        while True:
            type_, text = self.read_frame()
            if type_ != LOG:
                return Outcome(type_, text, logs)
            assert 2 <= len(text) <= (64 << 10) + 1, len(text)
            assert text[0] in (0, 1, 2), text[0]
            logs.append((text[0], text[1:]))
