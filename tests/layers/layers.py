"""The rules of the house that a compiler does not enforce: who may include what.

`check(src, edges)` reads every source under src/ and the lines that cmake/module.cmake wrote to edges.txt, and returns one
sentence per breach, as `src/api/api.cc:3: api does not use store`. The rules:

  - an include of ours is written with its full path from src/, never relative to the file
  - x.cc includes x.h before all else, so that each header is read alone by some compiler
  - a module includes itself and the modules it USES; its tests also those under TEST_USES
  - an adapter includes itself, its owner, what its owner USES and what it USES itself; never a sibling
  - an adapter is included by itself, by `cli` and by tests; everyone else includes the owner's interface
  - a library's header is included where the library is declared (HEADERS, VENDOR, EXPORTS), and where it was exported to
  - gtest, gmock and benchmark are included by tests, benches, conformance suites and headers x_testing.h
"""
import pathlib
import re

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')
TEST = re.compile(r"_(test|bench|testing|conformance)\.(cc|h)$")
TEST_LIBRARIES = ("gtest/", "gmock/", "benchmark/")
# Headers that need no library: those of C++ have no suffix; libc's and Linux' lie in these folders or are these files.
SYSTEM_FOLDERS = ("arpa/", "asm/", "bits/", "linux/", "net/", "netinet/", "sanitizer/", "sys/")
SYSTEM_FILES = frozenset(
    "aio.h alloca.h dirent.h dlfcn.h elf.h endian.h err.h errno.h fcntl.h features.h fnmatch.h getopt.h glob.h grp.h "
    "immintrin.h ifaddrs.h libgen.h limits.h link.h locale.h malloc.h math.h mntent.h netdb.h poll.h pthread.h pwd.h "
    "resolv.h sched.h semaphore.h setjmp.h signal.h spawn.h stdarg.h stddef.h stdint.h stdio.h stdlib.h string.h "
    "strings.h syscall.h sysexits.h syslog.h termios.h time.h ucontext.h unistd.h utime.h wait.h wchar.h".split())


class Folder:
    """One line of edges.txt: a module or an adapter."""

    def __init__(self, line):
        self.kind, self.path, uses, headers, exports, tests = line.split("\t")
        self.uses, self.headers, self.exports, self.tests = (
            set(filter(None, field.split(";"))) for field in (uses, headers, exports, tests))


def check(src, edges):
    src = pathlib.Path(src)
    folders = {f.path: f for f in map(Folder, pathlib.Path(edges).read_text().splitlines())}
    found = []
    for path in sorted(src.rglob("*")):
        if path.suffix in (".h", ".cc"):
            name = path.relative_to(src)
            own = str(name.with_suffix(".h")) if path.suffix == ".cc" and path.with_suffix(".h").exists() else None
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if match:
                    why = ours(name, match[1], folders) if match[1] else library(name, match[2], folders)
                    if not why and own not in (None, match[1]):
                        why = f'include "{own}" first'
                    own = None
                    if why:
                        found.append(f"{src.name}/{name}:{number}: {why}")
    return found


def ours(name, include, folders):
    """Why `name` may not have `#include "include"`, or None."""
    mine = folders.get(str(name.parent))
    if mine is None:
        return f"no module() or adapter() declares the folder {name.parent}"
    parts = pathlib.PurePosixPath(include).parts
    target = "/".join(parts[:-1])
    if target not in folders or ".." in parts:
        return f'write the full path from src/ of a declared folder: "{include}"'
    if target == mine.path:
        return None
    test, module, owner = TEST.search(name.name), parts[0], mine.path.split("/")[0]
    allowed = {owner} | folders[owner].uses | mine.uses
    if test:
        allowed |= mine.tests | folders[owner].tests
    if folders[target].kind == "adapter":
        if mine.path == "cli" or test:
            return None
        if mine.kind == "adapter" and module == owner:
            return f"{mine.path} includes its sibling {target}; put what both need into {owner}"
        return f"{target} is an adapter; include {module}/*.h"
    return None if module in allowed else f"{mine.path} does not use {module}"


def library(name, include, folders):
    """Why `name` may not have `#include <include>`, or None."""
    if ("." not in include and "/" not in include) or include.startswith(SYSTEM_FOLDERS) or include in SYSTEM_FILES:
        return None
    if include.startswith(TEST_LIBRARIES):
        return None if TEST.search(name.name) else f"<{include}> is for tests and benches only"
    mine = folders.get(str(name.parent))
    if mine is None:
        return f"no module() or adapter() declares the folder {name.parent}"
    owner = folders[mine.path.split("/")[0]]
    allowed = mine.headers | mine.exports
    for used in {owner.path} | owner.uses | mine.uses:
        allowed |= folders[used].exports
    for prefix in allowed:
        prefix, _, only = prefix.partition("@")
        below = include == prefix or include.startswith((prefix + "/", prefix + "."))
        if below and only in ("", name.name):
            return None
    return f"{mine.path} does not declare <{include}>: a library's headers stay where it is declared"
