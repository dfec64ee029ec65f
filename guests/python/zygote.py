"""A Python process that has loaded what its workers share and forks one at each request.

The spawner starts it as root or as the server's user, with the harness folder in its sight and a
socket as descriptor 3. It never runs a tenant's code. Each worker shuts itself in by the native
library beside this file (its namespaces, mounts, uid, limits, Landlock, seccomp; its parent is the
spawner) and then serves the server's socket:

    /usr/bin/python3 -I -B /harness/zygote.py

The folder holds zygote.py, libseam_zygote.so and worker.py, whose serve(3) is the worker.
"""

import ctypes
import gc
import importlib
import os
import sys

# What functions import most: loaded once, and shared by all workers until they write to it.
SHARED = (
    "array", "asyncio", "base64", "bisect", "calendar", "collections", "contextlib", "copy", "csv",
    "dataclasses", "datetime", "decimal", "difflib", "email", "email.mime.text", "enum",
    "fractions", "functools", "glob", "gzip", "hashlib", "heapq", "hmac", "html", "html.parser",
    "inspect", "io", "itertools", "json", "locale", "logging", "math", "numbers", "operator",
    "pathlib", "pickle", "random", "re", "secrets", "statistics", "string", "struct", "tempfile",
    "textwrap", "threading", "time", "traceback", "types", "typing", "unicodedata", "urllib.parse",
    "urllib.request", "uuid", "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo",
)
SOCKET = 3


def main():
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, folder)
    for name in SHARED:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # a small distribution leaves some out; a function that wants one is told then
    import worker

    library = ctypes.PyDLL(os.path.join(folder, "libseam_zygote.so"))
    library.seam_zygote_wait.restype = ctypes.c_void_p
    library.seam_zygote_fork.argtypes = [ctypes.c_void_p]
    python = ctypes.pythonapi
    # Objects made until now are never looked at by the collector again, so that it does not write
    # to them and have the kernel copy their pages for each worker.
    gc.collect()
    gc.freeze()
    while (request := library.seam_zygote_wait(SOCKET)) is not None:
        python.PyOS_BeforeFork()
        if library.seam_zygote_fork(request) == 0:
            python.PyOS_AfterFork_Child()
            become(worker)
        python.PyOS_AfterFork_Parent()


def become(worker):
    """In a worker: nothing of the zygote goes on after this."""
    import random

    random.seed()  # or all workers would draw the same numbers
    os.environ.setdefault("HOME", "/tmp")
    try:
        worker.serve(SOCKET)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        flush()
        os._exit(1)
    flush()
    os._exit(0)


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass


if __name__ == "__main__":
    main()
