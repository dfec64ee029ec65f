"""What the program prints, as LOG frames: bounded, counted, and in the order of stdout and stderr."""

import _thread
import builtins
import io
import os
from time import monotonic

from frames import DROPPED_COUNT, LOG, STDOUT, head, send_all

# Built-in names are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

TEXT_BYTES_MAX = 64 << 10
FLUSH_BYTES = 16 << 10  # a log this long is sent while the call still runs,
FLUSH_SECONDS = 0.05  # and so is one this old, once more is printed
# Nobody sends what a call prints before it sleeps, as there is no timer here. So the first lines after
# a pause are sent at once, in a call that is likely to last: the one before did, or there was none.
LINES_AT_ONCE = 10

_write = os.write


class Log:
    """Collects what the program prints into LOG frames. Any thread of the program writes here."""

    def __init__(self, fd):
        self.fd = fd
        self.lock = _thread.RLock()
        self.bytes_max = 256 << 10
        self.active = False  # a load or a call runs; what is printed outside is dropped
        self.sending = False  # the socket is in the middle of a frame
        self.frames = []
        self.text = bytearray()
        self.stream = STDOUT
        self.size = 0
        self.left = 0
        self.dropped = 0
        self.began_at = 0.0
        self.sent_at = 0.0
        self.loading = False
        self.slow = False  # the last call took long, or there was none
        self.lines_at_once = 0
        self.forked = False

    def begin(self, loading=False):
        self.loading = loading
        self.left = self.bytes_max
        self.dropped = 0
        self.began_at = self.sent_at = monotonic()
        self.lines_at_once = LINES_AT_ONCE if self.slow else 0
        self.active = True

    def write(self, stream, data):
        if self.forked:
            _write(stream + 1, data)
            return
        with self.lock:
            if not self.active:
                return
            size = len(data)
            if size > self.left:
                self.dropped += size - self.left
                size = self.left
                if size == 0:
                    return
                data = data[:size]
            self.left -= size
            if stream != self.stream or len(self.text) + size > TEXT_BYTES_MAX:
                self._seal()
                self.stream = stream
            if size <= TEXT_BYTES_MAX:
                self.text += data
            else:
                for at in range(0, size, TEXT_BYTES_MAX):
                    self.text += data[at : at + TEXT_BYTES_MAX]
                    self._seal()
            self.size += size
            if monotonic() - self.sent_at >= FLUSH_SECONDS:
                self.lines_at_once = LINES_AT_ONCE
                self._send()
            elif self.size >= FLUSH_BYTES:
                self._send()
            elif self.lines_at_once and data[-1:] == b"\n":
                self.lines_at_once -= 1
                self._send()

    def _seal(self):
        if self.text:
            self.frames.append(head.pack(len(self.text) + 2, LOG) + bytes((self.stream,)) + self.text)
            self.text = bytearray()

    def _send(self):
        # A finalizer that prints while a frame is on its way only adds to the next one.
        if self.sending:
            return
        self._seal()
        frames, self.frames, self.size = self.frames, [], 0
        self.sending = True
        try:
            send_all(self.fd, b"".join(frames))
        finally:
            self.sending = False
        self.sent_at = monotonic()

    def end(self):
        """Ends the call; the frames that are not sent yet, to go in front of its answer."""
        with self.lock:
            self.active = False
            self.slow = self.loading or monotonic() - self.began_at >= FLUSH_SECONDS
            self._seal()
            frames, self.frames, self.size = self.frames, [], 0
            if self.dropped:
                count = b"%d" % self.dropped
                frames.append(head.pack(len(count) + 2, LOG) + bytes((DROPPED_COUNT,)) + count)
            return b"".join(frames)


class _LogBytes(io.BufferedIOBase):
    """sys.stdout.buffer"""

    def __init__(self, log, stream):
        self._log = log
        self._stream = stream

    def writable(self):
        return True

    def write(self, data):
        if not isinstance(data, (bytes, bytearray)):
            data = memoryview(data).tobytes()
        self._log.write(self._stream, data)
        return len(data)

    def fileno(self):
        return self._stream + 1

    @property
    def closed(self):
        return False  # a program may close it, and the next call prints all the same

    def close(self):
        pass


class LogText(io.TextIOWrapper):
    """sys.stdout: straight to the log, so that the order of stdout and stderr is kept."""

    def __init__(self, log, stream):
        super().__init__(_LogBytes(log, stream), encoding="utf-8", errors="backslashreplace", write_through=True)
        self._log = log
        self._stream = stream
        self.mode = "w"

    @property
    def name(self):
        return "<stderr>" if self._stream else "<stdout>"

    def write(self, text):
        size = str.__len__(text)
        if size <= TEXT_BYTES_MAX:
            self._log.write(self._stream, str.encode(text, "utf-8", "backslashreplace"))
        else:  # in parts: a line of 100 MB is not held twice
            for at in range(0, size, TEXT_BYTES_MAX):
                part = text[at : at + TEXT_BYTES_MAX]
                self._log.write(self._stream, part.encode("utf-8", "backslashreplace"))
        return size
