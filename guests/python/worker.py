"""The worker that runs one Python program: it reads frames from a descriptor, calls the function
and writes the answer there (docs/worker-protocol.md).

    worker.serve(3)        # in a process that was forked from one with the interpreter already warm

Python 3.11 and newer.

Between calls the worker sleeps in a blocking read. Threads of the program may run meanwhile; what
they print outside a call is dropped, and nothing they do can answer a call. Tasks that an earlier
call left on the event loop run while a later asynchronous call does.

The program shares this process. What the harness needs is taken before the program is loaded, so
that a changed json module or a replaced sys.stdout breaks the program alone.
"""

import _thread
import builtins
import json
import os
import sys
import types

from failures import describe, failure, text
from frames import (
    CALL, FAILURE, LOAD, LOADED, READ_BYTES, READY, RESULT, STDERR, STDOUT, call_head, head, read_large, read_some, send_all,
)
from json_values import make_decoder, make_encoder
from loading import FILE, LoadError, Program
from log import Log, LogText

# Built-in names are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

_read, _write = os.read, os.write
_exit = os._exit


def _make_waiter():
    """wait(awaitable) runs it on an event loop that is made once and kept between calls."""
    loop = None

    async def outer(awaitable):
        return await awaitable

    def wait(awaitable):
        nonlocal loop
        import asyncio

        if loop is None or loop.is_closed():
            loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
        if not asyncio.iscoroutine(awaitable):
            awaitable = outer(awaitable)
        return loop.run_until_complete(awaitable)

    return wait


def leave_harness():
    """The program may have modules of the harness's names."""
    own_folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != own_folder]
    for name, module in list(sys.modules.items()):
        if name != "__main__" and os.path.dirname(getattr(module, "__file__", None) or "") == own_folder:
            del sys.modules[name]


def serve(fd: int) -> None:
    """Serves the program that comes over `fd` until the other side closes it. Ends the process."""
    os.set_inheritable(fd, False)
    log = Log(fd)
    sys.stdout = sys.__stdout__ = LogText(log, STDOUT)
    sys.stderr = sys.__stderr__ = LogText(log, STDERR)
    sys.argv = [FILE]
    leave_harness()

    def leave_socket_to_parent():
        log.forked = True
        log.lock = _thread.RLock()
        os.close(fd)

    os.register_at_fork(after_in_child=leave_socket_to_parent)
    send_all(fd, head.pack(3, READY) + b"{}")
    try:
        _serve(fd, log)
    except OSError:
        pass  # the server is gone, or the program closed the socket
    _exit(0)


def _serve(fd, log):
    read, head_size = _read, call_head.size
    decode, encode, wait = make_decoder(), make_encoder(), _make_waiter()
    has_await = _has_await
    unpack = call_head.unpack_from
    pack = head.pack
    begin, end = log.begin, log.end
    program = Program()
    loaded = load_failed = False
    result_bytes_max = 16 << 20
    buffer = b""
    while True:
        # A frame from the server has a head of nine bytes: length, type, size of its first part.
        while len(buffer) < head_size:
            try:
                more = read(fd, READ_BYTES)
            except BlockingIOError:
                more = read_some(fd)
            if not more:
                return
            buffer = buffer + more if buffer else more
        length, kind, first = unpack(buffer)
        size = length + 4
        if len(buffer) == size:
            frame, buffer = buffer, b""
        elif len(buffer) > size:
            frame, buffer = buffer[:size], buffer[size:]
        else:
            frame, buffer = read_large(fd, buffer, size), b""
        middle = head_size + first

        if kind == CALL:
            if not loaded:
                if load_failed:
                    continue  # sent before the server saw that the load failed
                _exit(70)
            begin()
            kind, answer = RESULT, None
            try:
                context = decode(str(frame[head_size:middle], "utf-8")) if first != 2 else {}
                params = decode(str(frame[middle:], "utf-8"))
                frame = None
                value = program.call(params, context)
                if has_await(value):
                    value = wait(value)
            except BaseException as error:
                kind, answer = FAILURE, describe("threw", program, error)
            else:
                try:
                    answer = encode(value).encode()
                except BaseException as error:
                    kind, answer = FAILURE, _bad_result(error)
                else:
                    if len(answer) > result_bytes_max:
                        kind, answer = FAILURE, _too_large(len(answer), result_bytes_max)
            value = params = context = None
        elif kind == LOAD and not loaded and not load_failed:
            header = json.loads(frame[head_size:middle].decode())
            log.bytes_max = header.get("log_bytes_max", log.bytes_max)
            result_bytes_max = header.get("result_bytes_max", result_bytes_max)
            begin(loading=True)
            try:
                program.load(header, frame[middle:], wait)
                kind, answer, loaded = LOADED, b"{}", True
            except LoadError as error:
                kind, answer = FAILURE, failure("load", "LoadError", str(error))
            except BaseException as error:
                kind, answer = FAILURE, describe("load", program, error)
            load_failed = not loaded
        else:
            _exit(70)
        if log.forked:
            _exit(0)  # the program forked and came back here twice
        _flush_streams(log)
        answer = end() + pack(len(answer) + 1, kind) + answer
        try:
            sent = _write(fd, answer)
        except BlockingIOError:
            sent = 0
        if sent != len(answer):
            send_all(fd, memoryview(answer)[sent:])
        answer = None


def _has_await(value):
    return hasattr(type(value), "__await__") or type(value) is types.GeneratorType and bool(
        value.gi_code.co_flags & 0x100
    )


def _flush_streams(log):
    """What a library keeps of the program's output in a stream of its own comes out with the call."""
    for stream in (sys.stdout, sys.stderr):
        if type(stream) is not LogText:
            try:
                stream.flush()
            except BaseException:
                pass


def _bad_result(error):
    if isinstance(error, UnicodeEncodeError):
        message = "the result holds a lone surrogate, which is not Unicode text"
    elif isinstance(error, RecursionError):
        message = "the result is nested too deeply to be JSON"
    elif isinstance(error, ValueError) and "Circular" in text(error):
        message = "the result cannot be written as JSON: it contains itself; return a tree without cycles"
    elif isinstance(error, ValueError) and "Out of range" in text(error):
        message = "the result cannot be written as JSON: it holds nan or inf; return None or a string instead"
    else:
        message = "the result cannot be written as JSON: " + text(error)
    return failure("result", type(error).__name__, message)


def _too_large(size, size_max):
    return failure(
        "result",
        "ValueError",
        f"the result has {size} bytes as JSON and {size_max} are allowed; return less, or a reference to it",
    )
