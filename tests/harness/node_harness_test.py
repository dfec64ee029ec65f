"""guests/node/worker.js: every form of a script, its errors, its log, and what must not break it."""

import unittest

from shared_cases import SharedCases
from worker_client import WorkerEnded


class NodeHarness(SharedCases, unittest.TestCase):
    language = "node"
    echo = "return event.params;"
    throw_text = "throw new Error('boom');"
    forever = "console.log('before'); await new Promise((r) => setTimeout(r, 300)); console.log('after'); return 1;"
    print_and_wait = (
        "console.log('one'); console.log('two'); const fs = require('fs');"
        "while (!fs.existsSync(event.params.file)) await new Promise((go) => setTimeout(go, 5)); return 'went on';"
    )
    print_many = "for (let i = 0; i < event.params.count; ++i) console.log(event.params.text);"
    print_both = "console.log('a'); console.error('b'); process.stdout.write('c'); process.stderr.write(Buffer.from('d'));"
    make_text = "return 'x'.repeat(event.params);"

    # ---- Forms

    def test_forms(self):
        forms = [
            "return event.params.a + event.params.b;",
            "#!/usr/bin/env node\n'use strict';\n// module.exports and export default are only words here\nconst s = 'exports';\nreturn event.params.a + event.params.b;",
            "const p = await Promise.resolve(event.params);\nreturn p.a + p.b // the end",
            "const { a, b } = event.params; for await (const x of [1]) { return a + b; }",
            "module.exports = async (event) => event.params.a + event.params.b;",
            "module.exports = (event) => event.params.a + event.params.b;",
            "module.exports = function ({ params }) { return params.a + params.b; }",
            "exports.handler = async (event) => event.params.a + event.params.b;",
            "exports.default = async (event) => event.params.a + event.params.b;",
            "const add = (a, b) => { return a + b; };\nmodule.exports = { handler(event) { return this.add(event); }, add: (e) => add(e.params.a, e.params.b) };",
            "module.exports = async (context, callback) => { callback(null, context.params.a + context.params.b); };",
            "module.exports = (context, callback) => { setTimeout(() => callback(null, context.params.a + context.params.b), 5); };",
            "module.exports = async (context, callback) => context.params.a + context.params.b;",
            "export default async (event) => event.params.a + event.params.b;",
            "export default function (event) { return event.params.a + event.params.b; }",
            "import { strict as assert } from 'node:assert';\nimport path, { join } from 'path';\nassert(join && path.join);\nexport default ({ params }) => params.a + params.b;",
            "const add = await Promise.resolve((a, b) => a + b);\nexport default ({ params }) => add(params.a, params.b);",
            "const fs = await import('node:fs');\nexport default ({ params }) => fs.readFileSync && params.a + params.b;",
            "export const handler = ({ params }) => params.a + params.b;",
            "const { join } = require('path'); const fs = await import('fs'); return join && fs.default && event.params.a + event.params.b;",
            "\ufeffreturn event.params.a + event.params.b;",
            "return event.params.a + event.params.b; // no line end, a `template ${ and } /regex{/",
        ]
        for source in forms:
            with self.subTest(source=source):
                worker = self.worker(source)
                self.assertEqual(worker.call({"a": 1, "b": 2}).value, 3)
                self.assertEqual(worker.call({"a": "x", "b": "y"}).value, "xy")

    def test_body_without_return_gives_null(self):
        outcome = self.worker("console.log(event.params);").call("hi")
        self.assertEqual((outcome.value, outcome.log()), (None, b"hi\n"))

    def test_event_holds_params_and_the_untouched_context(self):
        value = self.value("return event", {"a": 1}, {"user_id": "u", "params": 5})
        self.assertEqual(value, {"params": {"a": 1}, "context": {"user_id": "u", "params": 5}})

    def test_callback_gets_the_context_with_params(self):
        value = self.value("module.exports = (context, callback) => callback(null, context)", [1], {"x": 2})
        self.assertEqual(value, {"x": 2, "params": [1]})

    def test_callback_error(self):
        failure = self.failure("module.exports = (context, callback) => {\n  callback(new TypeError('no'));\n}")
        self.assertEqual((failure["type"], failure["message"], failure["line"], failure["column"]), ("TypeError", "no", 2, 12))
        failure = self.failure("module.exports = (context, callback) => callback('text')")
        self.assertEqual((failure["type"], failure["message"]), ("string", "text"))

    def test_modules_stay_warm(self):
        worker = self.worker("let n = 0; module.exports = () => ++n;")
        self.assertEqual([worker.call().value for _ in range(3)], [1, 2, 3])

    def test_entry(self):
        for source in ("exports.one = () => 1; exports.two = () => 2;", "export const one = () => 1, two = () => 2;"):
            self.assertEqual(self.value(source, entry="two"), 2)
            self.assertIn("exports one, two", self.load_failure(source, entry="three")["message"])
        self.assertIn("body", self.load_failure("return 1", entry="x")["message"])

    def test_undefined_is_null(self):
        self.assertIsNone(self.value("return undefined"))
        self.assertEqual(self.value("return [undefined, { a: undefined }, NaN]"), [None, {}, None])

    def test_environment_and_process(self):
        self.assertEqual(self.value("return process.env.GREETING", environment={"GREETING": "hällo"}), "hällo")
        self.assertEqual(self.value("module.exports = () => [process.argv.length, process.argv[1], require.main === module]"), [2, "function.js", False])

    # ---- Load failures

    def test_syntax_errors_have_their_place(self):
        cases = [
            ("return 1 +;", 1, 11, "Unexpected token ';'"),
            ("const a = 1;\n\tlet é = ;\nreturn a;", 2, 10, "Unexpected token ';'"),
            ("module.exports = async (event) => {\n  return 1 1;\n};", 2, 12, "Unexpected number"),
            ("import fs from 'fs';\nexport default () => {\n  let x = ;\n};", 3, 11, "Unexpected token ';'"),
            ("export default 5 +;", 1, 19, "Unexpected token ';'"),
            ("if (event) {\n  return 1;", 2, 12, "Unexpected end of input"),
            ("return 1;\n}", 2, 1, "Unexpected token '}'"),
            ("await x(;\n", 1, 9, "Unexpected token ';'"),
            ("const a = 1;\nconst a = 2;\nreturn a;", 2, 7, "Identifier 'a' has already been declared"),
        ]
        for source, line, column, message in cases:
            with self.subTest(source=source):
                failure = self.load_failure(source)
                self.assertEqual(failure["type"], "SyntaxError")
                self.assertEqual((failure["line"], failure["column"], failure["message"]), (line, column, message))

    def test_load_failures(self):
        cases = [
            ("module.exports = 5", "exports no function"),
            ("export const x = 1;", "no default export"),
            ("const _ = require('lodash'); module.exports = () => 1;", "Cannot find module 'lodash'"),
            ("import _ from 'lodash'; export default () => 1;", "Cannot find module 'lodash'"),
            ("import { nothing } from 'fs'; export default () => 1;", "nothing"),
        ]
        for source, message in cases:
            with self.subTest(source=source):
                self.assertIn(message, self.load_failure(source)["message"])

    def test_a_module_that_throws_while_it_loads(self):
        for source in ("const x = 1;\nexports.handler = null.x;", "const x = 1;\nexport default null.xxxx;"):
            failure = self.load_failure(source)
            self.assertEqual((failure["type"], failure["line"]), ("TypeError", 2))
            self.assertNotIn("worker.js", failure["stack"])

    def test_load_logs_belong_to_the_load(self):
        worker = self.worker("console.log('loading'); module.exports = () => { console.log('calling'); }")
        self.assertEqual(worker.loaded.log(), b"loading\n")
        self.assertEqual(worker.call().log(), b"calling\n")

    def test_a_top_level_await_that_never_settles(self):
        self.assertIn("never settled", self.load_failure("await new Promise(() => {}); export default () => 1;")["message"])

    # ---- Errors

    def test_line_and_column(self):
        cases = [
            ("throw new Error('x')", 1, 7),
            ("'use strict';\nreturn event.a.b;", 2, 16),
            ("const f = () => {\n  throw new RangeError('x');\n};\nmodule.exports = async () => {\n  f();\n};", 2, 9),
            ("export default async () => {\n  await null;\n  null.x;\n}", 3, 8),
            ("return JSON.parse('{');", 1, 13),
        ]
        for source, line, column in cases:
            with self.subTest(source=source):
                failure = self.failure(source)
                self.assertEqual((failure["line"], failure["column"]), (line, column), failure)

    def test_anything_can_be_thrown(self):
        cases = [
            ("throw 'text'", "string", "text"),
            ("throw null", "null", "null"),
            ("throw undefined", "undefined", "undefined"),
            ("throw 5n", "bigint", "5"),
            ("throw Symbol('s')", "symbol", "Symbol(s)"),
            ("throw { code: 7 }", "Object", "{ code: 7 }"),
            ("class Own extends Error {}; throw new Own('m')", "Own", "m"),
            ("throw { get message() { throw 1 }, get stack() { throw 2 }, get name() { throw 3 }, toString() { throw 4 } }", "Object", "{\n  message: [Getter],\n  stack: [Getter],\n  name: [Getter],\n  toString: [Function: toString]\n}"),
            ("throw new Proxy({}, { get() { throw 1 }, ownKeys() { throw 2 }, getPrototypeOf() { throw 3 } })", "", "{}"),
            ("throw Object.create(null)", "", "[Object: null prototype] {}"),
            ("throw new Error('\\ud800')", "Error", "\ufffd"),
            ("const e = new Error('x'); e.stack = 7; throw e", "Error", "x"),
        ]
        for source, type_, message in cases:
            with self.subTest(source=source):
                failure = self.failure(source)
                self.assertEqual((failure["type"], failure["message"]), (type_, message))

    def test_large_errors_are_cut(self):
        failure = self.failure("throw new Error('\\u0001é'.repeat(1 << 20))")
        self.assertEqual(len(failure["message"].encode()), 16 << 10)
        self.assertLessEqual(len(failure["stack"].encode()), 64 << 10)

    def test_endless_recursion_is_an_error(self):
        worker = self.worker("const f = () => f() + 1;\nmodule.exports = ({ params }) => params ? f() : 'fine';")
        self.assertEqual(worker.call(True).failure["type"], "RangeError")
        self.assertEqual(worker.call(False).value, "fine")

    def test_lost_errors_fail_the_call_they_come_from(self):
        for source in (
            "module.exports = ({ params }) => { if (params) Promise.reject(new Error('lost')); return 1; }",
            "module.exports = ({ params }) => new Promise((r) => { if (params) setTimeout(() => { throw new Error('lost'); }, 1); setTimeout(r, 20, 1); })",
            "module.exports = ({ params }) => { if (params) process.nextTick(() => { throw new Error('lost'); }); return 1; }",
        ):
            with self.subTest(source=source):
                worker = self.worker(source)
                failure = worker.call(True).failure
                self.assertEqual((failure["kind"], failure["message"], failure["line"]), ("threw", "lost", 1))
                self.assertEqual(worker.call(False).value, 1)

    def test_a_promise_that_never_settles(self):
        worker = self.worker("module.exports = ({ params }) => params ? new Promise(() => {}) : 1;")
        self.assertIn("never settled", worker.call(True).failure["message"])
        self.assertEqual(worker.call(False).value, 1)
        self.assertIn("never called its callback", self.failure("module.exports = (context, callback) => {}")["message"])

    def test_process_exit_ends_the_worker(self):
        worker = self.worker("process.exit(7)")
        with self.assertRaises(WorkerEnded) as ended:
            worker.call()
        self.assertEqual(ended.exception.status, 7)

    # ---- Results

    def test_results_that_are_not_json(self):
        cases = [
            ("return 5n", "Number("),
            ("return { a: [1n] }", "BigInt"),
            ("return () => 1", "function"),
            ("return Symbol('x')", "symbol"),
            ("const a = {}; a.a = a; return a", "cycles"),
            ("return { toJSON() { throw new Error('no json') } }", "no json"),
            ("return '\\ud83d'", "lone surrogate"),
            ("return { '\\udc00': 1 }", "lone surrogate"),
            ("return '\\\\\\ud83d'", "lone surrogate"),
        ]
        for source, message in cases:
            with self.subTest(source=source):
                self.assertIn(message, self.failure(source, kind="result")["message"])
        self.assertEqual(self.value("return '\\\\ud83d 😀'"), "\\ud83d 😀")

    # ---- Logs

    def test_streams_are_streams(self):
        source = (
            "const { pipeline, Readable } = require('stream');\n"
            "await new Promise((r) => process.stdout.write('1', r));\n"
            "await new Promise((r) => process.stdout.write('32', 'hex', r));\n"
            "Readable.from(['3']).pipe(process.stdout, { end: false });\n"
            "await new Promise((r) => setTimeout(r, 10));\n"
            "process.stdout.end('4'); console.log('5'); process.stdout.write(Buffer.from([0xff, 0x00]));\n"
            "return [process.stdout.isTTY, process.stderr.fd]"
        )
        outcome = self.worker(source).call()
        self.assertEqual(outcome.value, [False, 2])
        self.assertEqual(outcome.log(0), b"12345\n\xff\x00")

    def test_a_line_of_100_mb_is_cut_and_counted(self):
        outcome = self.worker("process.stdout.write('x'.repeat(100e6))").call()
        self.assertEqual((len(outcome.log()), outcome.dropped), (256 << 10, 100000000 - (256 << 10)))

    # ---- Late work

    def test_late_callbacks_are_ignored(self):
        source = (
            "let late;\nmodule.exports = (context, callback) => {\n  if (late) late(null, 'wrong');\n  late = callback;\n"
            "  callback(null, context.params);\n  callback(null, 'second');\n  callback(new Error('third'));\n};"
        )
        worker = self.worker(source)
        self.assertEqual([worker.call(n).value for n in range(5)], list(range(5)))

    def test_late_timers_print_into_the_call_that_runs(self):
        source = (
            "module.exports = async ({ params }) => {\n  if (params === 1) setTimeout(() => console.log('late'), 20);\n"
            "  else await new Promise((r) => setTimeout(r, 60));\n  return params;\n};"
        )
        worker = self.worker(source)
        first, second = worker.call(1), worker.call(2)
        self.assertEqual((first.value, first.log()), (1, b""))
        self.assertEqual((second.value, second.log()), (2, b"late\n"))

    # ---- Hostile programs

    def test_changed_globals_break_only_the_program(self):
        breakers = [
            "JSON.stringify = JSON.parse = () => { throw 1 };",
            "Object.prototype.toJSON = undefined; Object.prototype.then = undefined; Object.prototype.get = 5; Object.prototype.params = 6;",
            "Object.defineProperty(Object.prototype, 'params', { set() { throw 1 } });",
            "for (const k of Object.getOwnPropertyNames(Buffer.prototype)) try { Buffer.prototype[k] = null; } catch {}",
            "for (const k of ['set', 'subarray', 'copyWithin', 'slice']) Object.getPrototypeOf(Uint8Array.prototype)[k] = null;",
            "Promise.prototype.then = () => { throw 1 }; globalThis.Promise = null;",
            "globalThis.setImmediate = globalThis.setTimeout = null; process.nextTick = null;",
            "const fs = require('fs'); for (const k in fs) try { fs[k] = null; } catch {}",
            "process.stdout.write = null; Object.defineProperty(process, 'stdout', { value: null });",
            "String.prototype.slice = String.prototype.split = String.prototype.indexOf = RegExp.prototype.exec = RegExp.prototype.test = Array.prototype.push = Array.prototype.join = null;",
            "Error.prepareStackTrace = () => { throw 1 };",
            "Error.prepareStackTrace = () => ({});",
            "Error.stackTraceLimit = 0;",
            "Date.now = () => { throw 1 }; globalThis.Date = null; globalThis.Buffer = null; globalThis.String = null; globalThis.Reflect = null; globalThis.process = null;",
            "Function.prototype.call = Function.prototype.apply = Function.prototype.bind = null;",
            "Object.defineProperty(Array.prototype, 0, { set() { throw 1 } });",
            "process.removeAllListeners();",
            "Symbol.prototype[Symbol.toPrimitive] = null; delete Array.prototype[Symbol.iterator];",
        ]
        for breaker in breakers:
            with self.subTest(breaker=breaker):
                worker = self.worker(breaker + "\nmodule.exports = ({ params }) => { if (params === 'throw') throw new Error('boom'); return params; };")
                for _ in range(2):
                    self.assertEqual(worker.call({"a": [1, "é"]}).value, {"a": [1, "é"]})
                    failure = worker.call("throw").failure
                    self.assertEqual((failure["kind"], failure["type"], failure["message"]), ("threw", "Error", "boom"))

    def test_raw_writes_do_not_touch_the_protocol(self):
        worker = self.worker("require('fs').writeSync(1, 'raw'); return 1")
        self.assertEqual(worker.call().value, 1)
        self.assertEqual(worker.raw_output(), b"raw")

    def test_nothing_is_written_to_the_raw_streams(self):
        worker = self.worker("import 'fs'; export default () => console.log('x')")
        worker.call()
        self.assertEqual(worker.raw_output(), b"")


if __name__ == "__main__":
    unittest.main()
