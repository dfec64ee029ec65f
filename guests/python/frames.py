"""The frames of docs/worker-protocol.md on a socket, whether it blocks or somebody made it non-blocking.

    send_all(fd, head.pack(len(text) + 1, RESULT) + text)
"""

import builtins
import os
from struct import Struct

# Built-in names are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

LOAD, CALL = 0x01, 0x02
READY, LOADED, RESULT, FAILURE, LOG = 0x80, 0x81, 0x82, 0x83, 0x84
STDOUT, STDERR, DROPPED_COUNT = 0, 1, 2

READ_BYTES = 64 << 10

head = Struct("<IB")  # of a frame to the server: length of what follows, type
call_head = Struct("<IBI")  # of one from it: and the size of its first part
_read, _readv, _write = os.read, os.readv, os.write
_exit = os._exit


def _wait(fd, writing):
    """For a socket that somebody made non-blocking."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT if writing else select.POLLIN)
    poll.poll()


def send_all(fd, data):
    # EINTR is repeated by os.write itself.
    try:
        sent = _write(fd, data)
    except BlockingIOError:
        sent = 0
    if sent == len(data):
        return
    rest = memoryview(data)[sent:]
    while rest:
        try:
            rest = rest[_write(fd, rest) :]
        except BlockingIOError:
            _wait(fd, True)


def read_some(fd):
    while True:
        try:
            return _read(fd, READ_BYTES)
        except BlockingIOError:
            _wait(fd, False)


def read_large(fd, start, size):
    """A frame of `size` bytes that begins with `start`, read straight into place."""
    data = bytearray(size)
    data[: len(start)] = start
    rest = memoryview(data)[len(start) :]
    while rest:
        try:
            count = _readv(fd, [rest])
        except BlockingIOError:
            _wait(fd, False)
            continue
        if count == 0:
            _exit(0)
        rest = rest[count:]
    return data
