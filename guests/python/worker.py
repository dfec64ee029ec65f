"""The worker that runs one Python program: it reads frames from a descriptor, calls the function
and writes the answer there (docs/worker-protocol.md). Started by the server as

    python3 -I -B -X utf8 worker.py        (descriptor 3)

or as serve(fd) in a process that was forked from one with the interpreter already warm. Python 3.11
and newer.

Between calls the worker sleeps in a blocking read. Threads of the program may run meanwhile; what
they print outside a call is dropped, and nothing they do can answer a call. Tasks that an earlier
call left on the event loop run while a later asynchronous call does.

The program shares this process. What the harness needs is taken before the program is loaded, so
that a changed json module or a replaced sys.stdout breaks the program alone.
"""

import _thread
import ast
import builtins
import io
import json.encoder
import linecache
import os
import sys
import traceback
import types
from json.decoder import JSONDecoder
from struct import Struct
from time import monotonic

# Names of this module that are built in are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

LOAD, CALL = 0x01, 0x02
READY, LOADED, RESULT, FAILURE, LOG = 0x80, 0x81, 0x82, 0x83, 0x84
STDOUT, STDERR, DROPPED_COUNT = 0, 1, 2

LOG_TEXT_BYTES_MAX = 64 << 10
LOG_FLUSH_BYTES = 16 << 10  # a log this long is sent while the call still runs,
LOG_FLUSH_SECONDS = 0.05  # and so is one this old, once more is printed
MESSAGE_BYTES_MAX = 16 << 10
STACK_BYTES_MAX = 64 << 10
READ_BYTES = 64 << 10

FILE = "function.py"
MODULE = "function"
VENDORED = ("site-packages", "vendor")  # at the top of a folder: what the program depends on
CO_COROUTINE = 0x80

_u32 = Struct("<I")
_head = Struct("<IB")
_call_head = Struct("<IBI")
_read, _readv, _write, _writev = os.read, os.readv, os.write, os.writev
_exit = os._exit
_encode_string = json.encoder.encode_basestring
_class_name = type.__dict__["__name__"].__get__


class LoadError(Exception):
    """The source is not a program; str() is the whole message."""


# ---- The log --------------------------------------------------------------------------------


class _Log:
    """Collects what the program prints into kLog frames. Any thread of the program writes here."""

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
        self.sent_at = 0.0
        self.forked = False

    def begin(self):
        self.left = self.bytes_max
        self.dropped = 0
        self.sent_at = monotonic()
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
            if stream != self.stream or len(self.text) + size > LOG_TEXT_BYTES_MAX:
                self._seal()
                self.stream = stream
            if size <= LOG_TEXT_BYTES_MAX:
                self.text += data
            else:
                for at in range(0, size, LOG_TEXT_BYTES_MAX):
                    self.text += data[at : at + LOG_TEXT_BYTES_MAX]
                    self._seal()
            self.size += size
            if self.size >= LOG_FLUSH_BYTES or monotonic() - self.sent_at >= LOG_FLUSH_SECONDS:
                self._send()

    def _seal(self):
        if self.text:
            self.frames.append(_head.pack(len(self.text) + 2, LOG) + bytes((self.stream,)) + self.text)
            self.text = bytearray()

    def _send(self):
        # A finalizer that prints while a frame is on its way only adds to the next one.
        if self.sending:
            return
        self._seal()
        frames, self.frames, self.size = self.frames, [], 0
        self.sending = True
        try:
            _send_all(self.fd, b"".join(frames))
        finally:
            self.sending = False
        self.sent_at = monotonic()

    def end(self):
        """Ends the call; the frames that are not sent yet, to go in front of its answer."""
        with self.lock:
            self.active = False
            self._seal()
            frames, self.frames, self.size = self.frames, [], 0
            if self.dropped:
                count = b"%d" % self.dropped
                frames.append(_head.pack(len(count) + 2, LOG) + bytes((DROPPED_COUNT,)) + count)
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


class _LogText(io.TextIOWrapper):
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
        if size <= LOG_TEXT_BYTES_MAX:
            self._log.write(self._stream, str.encode(text, "utf-8", "backslashreplace"))
        else:  # in parts: a line of 100 MB is not held twice
            for at in range(0, size, LOG_TEXT_BYTES_MAX):
                part = text[at : at + LOG_TEXT_BYTES_MAX]
                self._log.write(self._stream, part.encode("utf-8", "backslashreplace"))
        return size


# ---- The socket -----------------------------------------------------------------------------


def _wait(fd, writing):
    """For a socket that somebody made non-blocking."""
    import select

    poll = select.poll()
    poll.register(fd, select.POLLOUT if writing else select.POLLIN)
    poll.poll()


def _send_all(fd, data):
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


def _read_some(fd):
    while True:
        try:
            return _read(fd, READ_BYTES)
        except BlockingIOError:
            _wait(fd, False)


def _read_large(fd, start, size):
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


# ---- Failures -------------------------------------------------------------------------------


def _cut(text, bytes_max):
    data = text[:bytes_max].encode("utf-8", "replace")
    return data[:bytes_max].decode("utf-8", "ignore")


def _quoted(text, bytes_max):
    text = _cut(text, bytes_max)
    quoted = _encode_string(text).encode()
    while len(quoted) > 2 * bytes_max + 1024:  # control characters take six bytes each
        text = text[: len(text) // 2]
        quoted = _encode_string(text).encode()
    return quoted


def _failure(kind, type_name, message, line=None, column=None, stack=""):
    parts = [b'{"kind":', _quoted(kind, 16), b',"type":', _quoted(type_name, 256)]
    parts += [b',"message":', _quoted(message, MESSAGE_BYTES_MAX)]
    if line is not None:
        parts.append(b',"line":%d' % line)
        if column is not None:
            parts.append(b',"column":%d' % column)
    parts += [b',"stack":', _quoted(stack, STACK_BYTES_MAX), b"}"]
    return b"".join(parts)


def _text(value):
    try:
        text = str(value)
        return text if type(text) is str else str.__str__(text)
    except BaseException:
        return "<the exception cannot be shown>"


def _source_line(file, number):
    return linecache.getline(file, number).rstrip("\n")


def _place(program, error):
    """(line, column) of an error in the program's source, each from 1, None where unknown."""
    if isinstance(error, SyntaxError) and program.owns(error.filename) and isinstance(error.lineno, int):
        offset = error.offset
        return max(error.lineno, 1), offset if isinstance(offset, int) and offset > 0 else None
    found = None
    trace = error.__traceback__
    while trace is not None:
        if program.owns(trace.tb_frame.f_code.co_filename):
            found = trace
        trace = trace.tb_next
    if found is None:
        return None, None
    line, column = found.tb_lineno, None
    positions = getattr(found.tb_frame.f_code, "co_positions", None)
    if positions is not None and found.tb_lasti >= 0:
        for index, place in enumerate(positions()):
            if index == found.tb_lasti // 2:
                if place[2] is not None and place[0] == line:
                    source = _source_line(found.tb_frame.f_code.co_filename, line)
                    start = source.encode("utf-8", "replace")[: place[2]]
                    column = len(start.decode("utf-8", "ignore")) + 1
                break
    return line, column


def _stack(program, error):
    """The traceback from the program's outermost frame inwards."""
    trace = error.__traceback__
    while trace is not None and not program.owns(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    lines = traceback.TracebackException(type(error), error, trace, limit=-64, compact=True).format()
    text = "".join(lines)
    return text if program.folder is None else text.replace(program.folder + "/", "")


def _describe(kind, program, error):
    try:
        name = _class_name(type(error))
    except BaseException:
        name = "Exception"
    try:
        line, column = _place(program, error)
    except BaseException:
        line = column = None
    try:
        stack = _stack(program, error)
    except BaseException:
        stack = ""
    message = _text(error.msg if isinstance(error, SyntaxError) and program.owns(error.filename) else error)
    return _failure(kind, name, message, line, column, stack)


# ---- JSON -----------------------------------------------------------------------------------


def _make_decoder():
    scan = JSONDecoder().scan_once

    def far(text):
        # An integer of more digits than int() takes: its nearest number here is a float.
        def number(digits):
            try:
                return int(digits)
            except ValueError:
                return float(digits)

        return JSONDecoder(parse_int=number).decode(text)

    def decode(text):
        try:
            return scan(text, 0)[0]
        except (StopIteration, ValueError):
            return far(text)

    return decode


def _not_json(value):
    raise TypeError(
        f"an object of type {type(value).__name__} is not JSON; "
        "return a dict, list, tuple, str, int, float, bool or None"
    )


def _make_encoder():
    markers = {}
    make = json.encoder.c_make_encoder
    if make is None:
        encoder = json.JSONEncoder(
            ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_not_json, check_circular=True
        )
        return encoder.encode
    encode_value = make(markers, _not_json, _encode_string, None, ":", ",", False, False, False)
    join = "".join

    def encode(value):
        try:
            return join(encode_value(value, 0))
        except BaseException:
            markers.clear()
            raise

    return encode


# ---- Loading --------------------------------------------------------------------------------


def _names(target):
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, (ast.Tuple, ast.List)):
        for element in target.elts:
            yield from _names(element)
    elif isinstance(target, ast.Starred):
        yield from _names(target.value)


class _TopLevel(ast.NodeVisitor):
    """Which names the statements of a module bind and read, those inside functions left out."""

    def __init__(self):
        self.bound = set()
        self.read = set()

    def visit_FunctionDef(self, node):
        self.bound.add(node.name)
        for part in node.decorator_list + node.args.defaults + [d for d in node.args.kw_defaults if d]:
            self.visit(part)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node):
        pass

    def visit_ClassDef(self, node):
        self.bound.add(node.name)

    def visit_Name(self, node):
        (self.read if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)

    def visit_Import(self, node):
        for alias in node.names:
            self.bound.add((alias.asname or alias.name).split(".")[0])

    visit_ImportFrom = visit_Import


class _Program:
    """A loaded source: `call(params, context)` runs it and gives its value or an awaitable."""

    def __init__(self):
        self.folder = None
        self.code = None
        self.call = None
        self.source = ""

    def owns(self, file):
        """Whether a file of that name is the program's own source, not one of its dependencies."""
        if self.folder is None:
            return file == FILE
        if not isinstance(file, str) or not file.startswith(self.folder + "/"):
            return False
        return not any(f"/{name}/" in file for name in VENDORED)

    def get_source(self, _name=None):
        return self.source

    def make_globals(self):
        module = types.ModuleType(MODULE)
        names = module.__dict__
        names["__file__"] = FILE
        names["__builtins__"] = builtins
        names["__loader__"] = self
        sys.modules[MODULE] = module
        return names

    def run(self, names):
        """Runs the module's statements; gives a coroutine where they await at the top."""
        if self.code.co_flags & CO_COROUTINE:
            return types.FunctionType(self.code, names)()
        exec(self.code, names)
        return None

    def load(self, header, source, wait):
        for name, value in (header.get("environment") or {}).items():
            os.environ[name] = value
        entry = header.get("entry") or ""
        if header.get("folder"):
            self.folder = header["folder"]
            name, function = _from_folder(self.folder, entry)
            self.take(name, function)
            return
        self.source = source = source.decode("utf-8-sig")
        lines = [line + "\n" for line in source.split("\n")]
        linecache.cache[FILE] = (len(source), None, lines, FILE)
        tree = ast.parse(source, FILE)
        top = _TopLevel()
        top.visit(tree)
        self.code = compile(source, FILE, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        uses_call = bool(top.read & {"params", "context"} - top.bound)
        is_statements = "result" in top.bound and uses_call
        if entry == "" and (is_statements or not top.bound & {"handle", "handler"}):
            if "result" not in source and all(isinstance(node, _DEFINITIONS) for node in tree.body):
                raise LoadError(
                    "the script sets no `result` and defines neither `handle(params)` nor `handler(context)`"
                )
            self.call = self.call_statements
            return
        names = self.make_globals()
        waiting = self.run(names)
        if waiting is not None:
            wait(waiting)
        name = entry or ("handle" if callable(names.get("handle")) else "handler")
        function = names.get(name)
        if not callable(function):
            raise LoadError(f"the script defines no function {name!r}")
        self.take(name, function)

    def take(self, name, function):
        if _takes_context(name, function):

            def call(params, context):
                context["params"] = params
                return function(context)

            self.call = call
        else:
            self.call = lambda params, _context: function(params)

    def call_statements(self, params, context):
        names = self.make_globals()
        names["params"] = params
        names["context"] = context
        if self.code.co_flags & CO_COROUTINE:
            return self.await_statements(names)
        exec(self.code, names)
        return names.get("result")

    async def await_statements(self, names):
        await types.FunctionType(self.code, names)()
        return names.get("result")


def _from_folder(folder, entry):
    """(name, function) of an entry "pkg/app.py:handle". Its file is imported as pkg.app, with what lies
    beside it, at the top of the folder, and in one of VENDORED, to be imported from there."""
    import importlib
    import importlib.util

    file, _, name = entry.partition(":")
    file = os.path.normpath(file or "main.py")
    path = os.path.join(folder, file)
    if file.startswith(("/", "..")):
        raise LoadError(f"the entry {entry!r} leads out of the archive")
    if not os.path.isfile(path):
        hint = "" if entry else "; name the file in \"entry\""
        raise LoadError(f"the archive holds no {file!r}{hint}")
    own = [os.path.dirname(path), folder]
    sys.path[:0] = list(dict.fromkeys(own))
    sys.path += [each for each in (f"{folder}/{name}" for name in VENDORED) if os.path.isdir(each)]
    sys.argv = [path]
    parts = file.removesuffix(".py").split("/")
    # A file named like a module that is loaded already keeps out of its way.
    plain = all(part.isidentifier() for part in parts) and parts[0] not in sys.modules
    module_name = ".".join(parts) if plain else MODULE
    parent = module_name.rpartition(".")[0]
    if parent:
        importlib.import_module(parent)
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None:
        raise LoadError(f"the entry's file {file!r} is no Python source: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    if parent:
        setattr(sys.modules[parent], parts[-1], module)
    spec.loader.exec_module(module)
    if not name:
        name = "handle" if callable(getattr(module, "handle", None)) else "handler"
    function = getattr(module, name, None)
    if not callable(function):
        wanted = f"no function {name!r}" if entry.endswith(f":{name}") else "neither `handle(params)` nor `handler(context)`"
        raise LoadError(f"{file} defines {wanted}")
    return name, function


# A script of nothing else does nothing when it is run: it lacks its handler.
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def _takes_context(name, function):
    """`handler` takes the context and `handle` the params; another entry says so by its parameter."""
    if name in ("handle", "handler"):
        return name == "handler"
    code = getattr(function, "__code__", None)
    return code is not None and code.co_argcount > 0 and code.co_varnames[0] == "context"


# ---- Serving --------------------------------------------------------------------------------


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


def serve(fd: int) -> None:
    """Serves the program that comes over `fd` until the other side closes it. Ends the process."""
    os.set_inheritable(fd, False)
    log = _Log(fd)
    sys.stdout = sys.__stdout__ = _LogText(log, STDOUT)
    sys.stderr = sys.__stderr__ = _LogText(log, STDERR)
    sys.argv = [FILE]
    own_folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [path for path in sys.path if path != own_folder]

    def leave_socket_to_parent():
        log.forked = True
        log.lock = _thread.RLock()
        os.close(fd)

    os.register_at_fork(after_in_child=leave_socket_to_parent)
    _send_all(fd, _head.pack(3, READY) + b"{}")
    try:
        _serve(fd, log)
    except OSError:
        pass  # the server is gone, or the program closed the socket
    _exit(0)


def _serve(fd, log):
    read, head_size = _read, _call_head.size
    decode, encode, wait = _make_decoder(), _make_encoder(), _make_waiter()
    has_await = _has_await
    unpack = _call_head.unpack_from
    pack = _head.pack
    begin, end = log.begin, log.end
    program = _Program()
    loaded = load_failed = False
    result_bytes_max = 16 << 20
    buffer = b""
    while True:
        # A frame from the server has a head of nine bytes: length, type, size of its first part.
        while len(buffer) < head_size:
            try:
                more = read(fd, READ_BYTES)
            except BlockingIOError:
                more = _read_some(fd)
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
            frame, buffer = _read_large(fd, buffer, size), b""
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
                kind, answer = FAILURE, _describe("threw", program, error)
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
            begin()
            try:
                program.load(header, frame[middle:], wait)
                kind, answer, loaded = LOADED, b"{}", True
            except LoadError as error:
                kind, answer = FAILURE, _failure("load", "LoadError", str(error))
            except BaseException as error:
                kind, answer = FAILURE, _describe("load", program, error)
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
            _send_all(fd, memoryview(answer)[sent:])
        answer = None


def _has_await(value):
    return hasattr(type(value), "__await__") or type(value) is types.GeneratorType and bool(
        value.gi_code.co_flags & 0x100
    )


def _flush_streams(log):
    """What a library keeps of the program's output in a stream of its own comes out with the call."""
    for stream in (sys.stdout, sys.stderr):
        if type(stream) is not _LogText:
            try:
                stream.flush()
            except BaseException:
                pass


def _bad_result(error):
    if isinstance(error, UnicodeEncodeError):
        message = "the result holds a lone surrogate, which is not Unicode text"
    elif isinstance(error, RecursionError):
        message = "the result is nested too deeply to be JSON"
    elif isinstance(error, ValueError) and "Circular" in _text(error):
        message = "the result cannot be written as JSON: it contains itself; return a tree without cycles"
    elif isinstance(error, ValueError) and "Out of range" in _text(error):
        message = "the result cannot be written as JSON: it holds nan or inf; return None or a string instead"
    else:
        message = "the result cannot be written as JSON: " + _text(error)
    return _failure("result", type(error).__name__, message)


def _too_large(size, size_max):
    return _failure(
        "result",
        "ValueError",
        f"the result has {size} bytes as JSON and {size_max} are allowed; return less, or a reference to it",
    )


if __name__ == "__main__":
    serve(3)
