"""What a failure says to the client: whatever a program raises, with the place in its own source."""

import builtins
import json.encoder
import linecache
import traceback

# Built-in names are looked up here: the program may change the builtins.
__builtins__ = dict(vars(builtins))

MESSAGE_BYTES_MAX = 16 << 10
STACK_BYTES_MAX = 64 << 10

_encode_string = json.encoder.encode_basestring
_class_name = type.__dict__["__name__"].__get__


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


def failure(kind, type_name, message, line=None, column=None, stack=""):
    parts = [b'{"kind":', _quoted(kind, 16), b',"type":', _quoted(type_name, 256)]
    parts += [b',"message":', _quoted(message, MESSAGE_BYTES_MAX)]
    if line is not None:
        parts.append(b',"line":%d' % line)
        if column is not None:
            parts.append(b',"column":%d' % column)
    parts += [b',"stack":', _quoted(stack, STACK_BYTES_MAX), b"}"]
    return b"".join(parts)


def text(value):
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


def describe(kind, program, error):
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
    message = text(error.msg if isinstance(error, SyntaxError) and program.owns(error.filename) else error)
    return failure(kind, name, message, line, column, stack)
