"""Checks the tree, and that each rule of tidy.py refuses what it is there to refuse: tidy_test.py [-v] <root>."""
import sys
import unittest

import tidy


class TheTree(unittest.TestCase):
    def test_follows_the_rules(self):
        breaches = list(tidy.check(sys.argv[-1]))
        if breaches:
            self.fail("\n".join(["some sources break the rules of tests/tidy/tidy.py:", *breaches]))


class EachRule(unittest.TestCase):
    def refuses(self, name, text, line, sentence):
        self.assertEqual([f"{name}:{line}: {sentence}"], list(tidy.check_text(name, text)))

    def allows(self, name, text):
        self.assertEqual([], list(tidy.check_text(name, text)))

    def test_pragma_once(self):
        self.allows("a.h", "#pragma once\n")
        self.refuses("a.h", "int a;\n", 1, "a header has #pragma once")

    def test_co_await_stands_alone(self):
        why = "co_await stands in a statement of its own, not inside ?:, && or ||"
        for text in ("x = c ? co_await f(v) : g(v);", "if (a && co_await f()) {", "return a || co_await b;",
                     "if (co_await f() && b) {", "use(c ? co_await f() : 0);"):
            self.refuses("a.cc", f"\n{text}\n", 2, why)
        for text in ("auto x = co_await f(a && b);", "if (a || b) { co_await f(); }", "x = c ? 1 : 2; co_await f();",
                     "co_await f(c ? 1 : 2);", "// a && co_await b", 's = "?"; co_await f("a && b");',
                     "auto&& x = co_await f();", "auto operator co_await() && noexcept { return 1; }", "for (;;) { const auto n = co_await f(g(a), h(b ? c : d)); }"):
            self.allows("a.cc", f"{text}\n")

    def test_no_detached_threads(self):
        self.refuses("a.cc", "thread.detach();\n", 1, "a thread is joined by its owner, never detached")
        self.allows("a.cc", "co_spawn(loop, run(), asio::detached);\n")

    def test_fmt_formats(self):
        self.refuses("a.cc", "#include <format>\n", 1, "libstdc++ 12 has no <format>: use fmt")
        self.allows("a.cc", "#include <fmt/format.h>\n")

    def test_size(self):
        self.allows("a.cc", "\n" * 600)
        self.allows("a_test.cc", "\n" * 900)
        self.refuses("a.cc", "\n" * 601, 600, "601 lines are more than one idea: split the file along one (at most 600)")

    def test_nothing_unfinished(self):
        self.refuses("a.cc", "// FIXME: later\n", 1, "FIXME: finish it, or say what is so and why")
        self.allows("a.cc", "mktemp(name_XXXXXX);\n")

    def test_literals_are_not_code(self):
        self.allows("a.cc", 'auto s = R"(thread.detach();)"; char c = \';\'; int n = 1\'000\'000; auto t = "x.detach()";\n')


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:-1])
