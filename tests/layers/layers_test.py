"""Checks the tree, and checks that each rule refuses what it is there to refuse.

layers_test.py [-v] <src> <edges.txt>
"""
import pathlib
import sys
import tempfile
import unittest

import layers

SRC, EDGES = sys.argv[-2:]

EDGES_OF_EXAMPLE = [
    # kind, path, uses, headers, exported headers, test uses
    ("module", "base", "", "boost/asio@loop.cc", "fmt", ""),
    ("module", "store", "base", "", "", ""),
    ("module", "http", "base", "boost/beast", "", ""),
    ("adapter", "store/sqlite", "", "soci", "", ""),
    ("adapter", "store/memory", "", "", "", ""),
    ("module", "api", "base", "", "", "store"),
    ("module", "cli", "base;store;api", "", "", ""),
]


class TheTree(unittest.TestCase):
    def test_follows_the_rules(self):
        breaches = layers.check(SRC, EDGES)
        if breaches:
            self.fail("\n".join(["some includes break the rules of tests/layers/layers.py:", *breaches]))


class EachRule(unittest.TestCase):
    """One file with one include in the tree of EDGES_OF_EXAMPLE."""

    def breaches(self, name, include, header=False):
        with tempfile.TemporaryDirectory() as root:
            path = pathlib.Path(root, "src", name)
            path.parent.mkdir(parents=True)
            if header:
                path.with_suffix(".h").touch()
            path.write_text(f"// A comment first.\n#include {include}\n")
            edges = pathlib.Path(root, "edges.txt")
            edges.write_text("".join("\t".join(line) + "\n" for line in EDGES_OF_EXAMPLE))
            return layers.check(path.parents[len(pathlib.Path(name).parts) - 1], edges)

    def refuses(self, name, include, why):
        self.assertEqual([f"src/{name}:2: {why}"], self.breaches(name, include))

    def allows(self, name, include):
        self.assertEqual([], self.breaches(name, include))

    def test_a_module_includes_what_it_uses(self):
        self.allows("store/store.cc", '"base/result.h"')
        self.allows("store/store.cc", '"store/store.h"')
        self.refuses("store/store.cc", '"http/server.h"', "store does not use http")
        self.refuses("base/result.cc", '"store/store.h"', "base does not use store")

    def test_includes_are_full_paths(self):
        self.refuses("store/store.cc", '"store.h"', 'write the full path from src/ of a declared folder: "store.h"')
        self.refuses("store/store.cc", '"../base/result.h"',
                     'write the full path from src/ of a declared folder: "../base/result.h"')
        self.refuses("store/store.cc", '"store/../base/result.h"',
                     'write the full path from src/ of a declared folder: "store/../base/result.h"')

    def test_a_source_includes_its_header_first(self):
        self.assertEqual([], self.breaches("store/store.cc", '"store/store.h"', header=True))
        self.assertEqual(['src/store/store.cc:2: include "store/store.h" first'],
                         self.breaches("store/store.cc", '"base/result.h"', header=True))

    def test_a_folder_is_declared(self):
        self.refuses("store/redis/redis.cc", '"store/store.h"', "no module() or adapter() declares the folder store/redis")
        self.refuses("store/store.cc", '"store/redis/redis.h"',
                     'write the full path from src/ of a declared folder: "store/redis/redis.h"')

    def test_an_adapter_includes_its_owner_and_what_its_owner_uses(self):
        self.allows("store/sqlite/sqlite.cc", '"store/store.h"')
        self.allows("store/sqlite/sqlite.cc", '"store/sqlite/schema.h"')
        self.allows("store/sqlite/sqlite.cc", '"base/result.h"')
        self.refuses("store/sqlite/sqlite.cc", '"http/server.h"', "store/sqlite does not use http")

    def test_an_adapter_leaves_its_sibling_alone(self):
        self.refuses("store/sqlite/sqlite.cc", '"store/memory/memory.h"',
                     "store/sqlite includes its sibling store/memory; put what both need into store")

    def test_only_cli_and_tests_include_adapters(self):
        self.allows("cli/wiring.cc", '"store/sqlite/sqlite.h"')
        self.allows("store/store_test.cc", '"store/sqlite/sqlite.h"')
        self.refuses("store/store.cc", '"store/sqlite/sqlite.h"', "store/sqlite is an adapter; include store/*.h")
        self.refuses("api/api.cc", '"store/sqlite/sqlite.h"', "store/sqlite is an adapter; include store/*.h")

    def test_test_uses_are_for_tests(self):
        self.allows("api/api_test.cc", '"store/store.h"')
        self.refuses("api/api.cc", '"store/store.h"', "api does not use store")
        self.refuses("api/api_test.cc", '"http/server.h"', "api does not use http")

    def test_a_librarys_header_stays_where_it_is_declared(self):
        self.allows("store/sqlite/sqlite.cc", "<soci/soci.h>")
        self.allows("http/server.cc", "<boost/beast.hpp>")
        self.allows("http/server.cc", "<boost/beast/core.hpp>")
        for name, include in (("store/store.cc", "soci/soci.h"), ("http/server.cc", "boost/asio.hpp"),
                              ("api/api.cc", "boost/beast.hpp"), ("api/api.cc", "some_new_library.h"),
                              ("http/server.cc", "boost/beastly.hpp")):
            self.refuses(name, f"<{include}>", f"{str(pathlib.Path(name).parent)} does not declare <{include}>: "
                                               "a library's headers stay where it is declared")

    def test_a_header_may_be_declared_for_one_file(self):
        self.allows("base/loop.cc", "<boost/asio/post.hpp>")
        self.refuses("base/clock.cc", "<boost/asio/post.hpp>",
                     "base does not declare <boost/asio/post.hpp>: a library's headers stay where it is declared")

    def test_an_exported_header_is_for_all_who_use_the_module(self):
        self.allows("store/sqlite/sqlite.cc", "<fmt/format.h>")
        self.allows("base/result.cc", "<fmt/format.h>")

    def test_system_headers_are_free(self):
        for include in ("<vector>", "<sys/mman.h>", "<unistd.h>", "<linux/landlock.h>"):
            self.allows("base/result.cc", include)

    def test_test_libraries_are_for_tests(self):
        self.allows("base/result_test.cc", "<gtest/gtest.h>")
        self.allows("store/store_conformance.h", "<gtest/gtest.h>")
        self.allows("store/store_testing.h", "<gtest/gtest.h>")
        self.refuses("base/result.cc", "<gtest/gtest.h>", "<gtest/gtest.h> is for tests and benches only")
        self.refuses("base/result.h", "<benchmark/benchmark.h>", "<benchmark/benchmark.h> is for tests and benches only")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:-2])
