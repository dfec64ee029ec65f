"""What a review would say again and again, as checks over the text of each source; clang-tidy says the rest.

A rule is a function from (path, text without comments and literals, text as it stands) to (line, sentence) pairs; it is a
rule by its name, `rule_…`.
"""
import pathlib
import re

FOLDERS = ("src", "fuzz", "bench", "tests", "guests", "include")
SUFFIXES = (".h", ".cc")
LINES_MAX = 600
TEST_LINES_MAX = 900  # a suite of cases reads in pieces, and each file of tests costs a compilation of GoogleTest

NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', re.S)


def bare(text):
    """The code alone: comments and literals become empty, line numbers stay."""
    def blank(match):
        return ('""' if match[0][0] in '"R' else "0" if match[0][0] == "'" else "") + "\n" * match[0].count("\n")
    return NOISE.sub(blank, text)


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def rule_pragma_once(path, code, text):
    if path.suffix == ".h" and not re.search(r"^#pragma once$", text, re.M):
        yield 1, "a header has #pragma once"


def rule_co_await_stands_alone(path, code, text):
    """GCC 12 miscompiles `c ? co_await f(v) : g(v)`, and a reader misjudges what runs in `a && co_await b`."""
    for match in re.finditer(r"(?<!operator )\bco_await\b", code):
        begin = max(code.rfind(c, 0, match.start()) for c in ";{}") + 1
        end = min((at for at in (code.find(c, match.start()) for c in ";{}") if at >= 0), default=len(code))
        statement = code[begin:end]
        # `co_await f(a && b)` is fine: only what stands outside the awaited call's parentheses counts.
        # clang-format puts spaces round the operators; `auto&& x` is a reference.
        if re.search(r"\s(&&|\|\||\?)\s", outside_calls(statement, match.start() - begin)):
            yield line_of(code, match.start()), "co_await stands in a statement of its own, not inside ?:, && or ||"


def outside_calls(statement, at):
    """The statement without parenthesised parts that do not hold the position `at`."""
    out, depth_from = [], []
    for index, char in enumerate(statement):
        if char == "(":
            depth_from.append((index, len(out)))
        out.append(char)
        if char == ")" and depth_from:
            begin, length = depth_from.pop()
            if not begin < at < index:
                del out[length:]
    return "".join(out)


def rule_no_detached_threads(path, code, text):
    for match in re.finditer(r"\.detach\(\)", code):
        yield line_of(code, match.start()), "a thread is joined by its owner, never detached"


def rule_fmt_formats(path, code, text):
    for match in re.finditer(r"^#include <(format|print)>", code, re.M):
        yield line_of(code, match.start()), f"libstdc++ 12 has no <{match[1]}>: use fmt"


def rule_size(path, code, text):
    most = TEST_LINES_MAX if path.stem.endswith(("_test", "_testing", "_conformance")) else LINES_MAX
    if (count := text.count("\n")) > most:
        yield most, f"{count} lines are more than one idea: split the file along one (at most {most})"


def rule_nothing_unfinished(path, code, text):
    for match in re.finditer(r"\b(TODO|FIXME|XXX|TEMPORARY)\b", text):
        yield line_of(text, match.start()), f"{match[1]}: finish it, or say what is so and why"


def check_text(path, text):
    code = bare(text)
    for name, rule in sorted(globals().items()):
        if name.startswith("rule_"):
            for line, sentence in rule(pathlib.PurePosixPath(path), code, text):
                yield f"{path}:{line}: {sentence}"


def check(root):
    root = pathlib.Path(root)
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SUFFIXES and "node_modules" not in path.parts:
                yield from check_text(str(path.relative_to(root)), path.read_text(errors="replace"))
