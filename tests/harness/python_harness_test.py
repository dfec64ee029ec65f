"""guests/python/worker.py: every form of a script, its errors, its log, and what must not break it."""

import unittest

from shared_cases import SharedCases
from worker_client import WorkerEnded


class PythonHarness(SharedCases, unittest.TestCase):
    language = "python"
    echo = "def handle(params): return params"
    throw_text = "def handle(params): raise ValueError('boom')"
    forever = "import time\ndef handle(params):\n  time.sleep(0.1)\n  print('before')\n  time.sleep(0.3)\n  print('after')\n  return 1"
    print_and_wait = (
        "import os, time\ndef handle(params):\n  print('one')\n  print('two')\n"
        "  while not os.path.exists(params['file']): time.sleep(0.005)\n  return 'went on'"
    )
    print_many = "def handle(params):\n  for _ in range(params['count']): print(params['text'])"
    print_both = (
        "import sys\ndef handle(params):\n  print('a')\n  print('b', file=sys.stderr)\n"
        "  sys.stdout.buffer.write(b'c')\n  sys.stderr.write('d')"
    )
    make_text = "def handle(params): return 'x' * params"

    # ---- Forms

    def test_forms(self):
        forms = [
            "result = params['a'] + params['b']",
            "\ufeff# result\nif True:\n  result = params['a']\nresult += params['b']",
            "def add(a, b): return a + b\nresult = add(params['a'], params['b'])",
            "def handle(a, b): return a + b\nresult = handle(params['a'], params['b'])",
            "import asyncio\nawait asyncio.sleep(0)\nresult = params['a'] + params['b']",
            "global_name = 1\ndef run():\n  global result\n  result = params['a'] + params['b']\nrun()",
            "def handle(params): return params['a'] + params['b']",
            "def handle(p):\n  return p['a'] + p['b']\ndef handler(context): return 'wrong'",
            "result = None\ndef handle(params): return params['a'] + params['b']",
            "def handler(context): return context['params']['a'] + context['params']['b']",
            "async def handle(params): return params['a'] + params['b']",
            "import asyncio\nasync def handler(context):\n  await asyncio.sleep(0.001)\n  return context['params']['a'] + context['params']['b']",
            "import asyncio\nadd = await asyncio.sleep(0, lambda p: p['a'] + p['b'])\ndef handle(params): return add(params)",
            "import functools\ndef both(extra, p): return p['a'] + p['b']\nhandle = functools.partial(both, 1)",
            "class Handle:\n  async def __call__(self, params): return params['a'] + params['b']\nhandle = Handle()",
            "try:\n  import nothing_there\nexcept ImportError:\n  def handle(params): return params['a'] + params['b']",
            "from dataclasses import dataclass\n@dataclass\nclass P:\n  a: 'int'\n  b: 'int'\ndef handle(params):\n  p = P(**params)\n  return p.a + p.b",
            "def handle(params): return params['a'] + params['b']\nif __name__ == '__main__': raise SystemExit('ran')",
        ]
        for source in forms:
            with self.subTest(source=source):
                worker = self.worker(source)
                self.assertEqual(worker.call({"a": 1, "b": 2}).value, 3)
                self.assertEqual(worker.call({"a": "x", "b": "y"}).value, "xy")

    def test_statements_begin_anew_and_modules_stay_warm(self):
        worker = self.worker("n = globals().get('n', 0) + 1\nresult = [n, params]")
        self.assertEqual([worker.call(1).value for _ in range(2)], [[1, 1], [1, 1]])
        worker = self.worker("n = 0\ndef handle(params):\n  global n\n  n += 1\n  return n")
        self.assertEqual([worker.call().value for _ in range(3)], [1, 2, 3])

    def test_context(self):
        self.assertEqual(self.value("result = [params, context]", 1, {"params": 5}), [1, {"params": 5}])
        self.assertEqual(self.value("def handler(context): return context", [1], {"x": 2}), {"x": 2, "params": [1]})

    def test_statements_that_set_no_result_this_time_give_null(self):
        self.assertIsNone(self.value("if params: result = 1", 0))

    def test_entry(self):
        source = "def one(params): return ['p', params]\ndef two(context): return ['c', context]\ndef handle(params): return 0\n"
        self.assertEqual(self.value(source, 1, entry="one"), ["p", 1])
        self.assertEqual(self.value(source, 1, entry="two"), ["c", {"params": 1}])
        self.assertIn("no function 'three'", self.load_failure(source, entry="three")["message"])

    def test_environment_and_process(self):
        self.assertEqual(self.value("import os\nresult = os.environ['G']\nparams", environment={"G": "hällo"}), "hällo")
        self.assertEqual(self.value("import sys\nresult = [sys.argv, __name__, __file__, params]"), [["function.py"], "function", "function.py", None])
        self.assertEqual(self.failure("import zygote\nresult = params")["type"], "ModuleNotFoundError")

    # ---- Load failures

    def test_syntax_errors_have_their_place(self):
        cases = [
            ("result = (1 +", 1, 10, "'(' was never closed"),
            ("é = 1\nresult = 'ü' )", 2, 14, "unmatched ')'"),
            ("def handle(params):\nreturn 1", 2, 1, "expected an indented block after function definition on line 1"),
            ("def handle(params):\n  return 1\n return 2", 3, 10, "unindent does not match any outer indentation level"),
            ("return 1\nresult = 1", 1, 1, "'return' outside function"),
        ]
        for source, line, column, message in cases:
            with self.subTest(source=source):
                failure = self.load_failure(source)
                self.assertIn(failure["type"], ("SyntaxError", "IndentationError"))
                self.assertEqual(failure["line"], line)
                self.assertTrue(failure["message"].startswith(message[:16]), failure["message"])
                self.assertEqual(failure["column"], column, failure)

    def test_load_failures(self):
        cases = [
            ("import math\ndef handel(params):\n    return 1", "sets no `result`"),
            ("", "sets no `result`"),
            ("handle = 5", "no function"),
            ("import nothing_there\ndef handle(params): pass", "nothing_there"),
            ("import sys\ndef handle(params): pass\nsys.exit(3)", "3"),
            (b"def handle(params): return '\xff'", "utf-8"),
            ("result = 1\0", "null bytes"),
            ("result = " + "(" * 1000 + ")" * 1000, ""),
        ]
        for source, message in cases:
            with self.subTest(source=source):
                self.assertIn(message, self.load_failure(source)["message"])

    def test_a_module_that_raises_while_it_loads(self):
        failure = self.load_failure("def handle(params): pass\nx = None.x")
        self.assertEqual((failure["type"], failure["line"], failure["column"]), ("AttributeError", 2, 5))

    def test_load_logs_belong_to_the_load(self):
        worker = self.worker("print('loading')\ndef handle(params): print('calling')")
        self.assertEqual((worker.loaded.log(), worker.call().log()), (b"loading\n", b"calling\n"))

    # ---- Errors

    def test_line_and_column(self):
        cases = [
            ("result = params['x']", 1, 10),
            ("é = 'ü'; result = é + params", 1, 19),
            ("def f(): raise KeyError('x')\ndef handle(params):\n  f()", 1, 10),
            ("async def handle(params):\n  import asyncio\n  await asyncio.sleep(0)\n  1 / 0", 4, 3),
            ("import json\ndef handle(params):\n  return json.loads('{')", 3, 10),
        ]
        for source, line, column in cases:
            with self.subTest(source=source):
                failure = self.failure(source, 5)
                self.assertEqual((failure["line"], failure["column"]), (line, column), failure)
                self.assertIn(source.split("\n")[line - 1].strip(), failure["stack"])

    def test_anything_can_be_raised(self):
        cases = [
            ("import sys\nsys.exit(3)", "SystemExit", "3"),
            ("raise KeyboardInterrupt", "KeyboardInterrupt", ""),
            ("raise GeneratorExit('x')", "GeneratorExit", "x"),
            ("class E(Exception):\n  def __str__(self): raise ValueError\nraise E", "E", "<the exception cannot be shown>"),
            ("class M(type):\n  @property\n  def __name__(cls): raise ValueError\nclass E(Exception, metaclass=M): pass\nraise E('m')", "E", "m"),
            ("raise ValueError('\\ud800')", "ValueError", "?"),
            ("raise 5", "TypeError", "exceptions must derive from BaseException"),
            ("raise StopIteration('s')", "StopIteration", "s"),
        ]
        for source, type_, message in cases:
            with self.subTest(source=source):
                worker = self.worker(source + "\nresult = params")
                for _ in range(2):
                    failure = worker.call().failure
                    self.assertEqual((failure["kind"], failure["type"], failure["message"]), ("threw", type_, message))

    def test_large_errors_are_cut(self):
        failure = self.failure("raise ValueError('\\x01é' * (1 << 20))\nresult = params")
        self.assertLessEqual(len(failure["message"].encode()), 16 << 10)
        self.assertLessEqual(len(failure["stack"].encode()), 64 << 10)

    def test_endless_recursion_is_an_error(self):
        worker = self.worker("def f(): return f() + 1\ndef handle(params): return f() if params else 'fine'")
        self.assertEqual(worker.call(True).failure["type"], "RecursionError")
        self.assertEqual(worker.call(False).value, "fine")

    def test_os_exit_ends_the_worker(self):
        with self.assertRaises(WorkerEnded) as ended:
            self.worker("import os\nos._exit(7)\nresult = params").call()
        self.assertEqual(ended.exception.status, 7)

    # ---- Results

    def test_results_that_are_not_json(self):
        cases = [
            ("{1, 2}", "an object of type set is not JSON"),
            ("b'x'", "an object of type bytes is not JSON"),
            ("object()", "an object of type object is not JSON"),
            ("float('nan')", "nan or inf"),
            ("[float('inf')]", "nan or inf"),
            ("'\\ud83d'", "lone surrogate"),
            ("{'\\udc00': 1}", "lone surrogate"),
            ("{(1, 2): 3}", "keys must be"),
            ("(lambda a: a.append(a) or a)([])", "contains itself"),
            ("__import__('functools').reduce(lambda a, _: [a], range(50000), 1)", "too deep"),
        ]
        for source, message in cases:
            with self.subTest(source=source):
                worker = self.worker(f"result = {source} if params else 'fine'")
                failure = worker.call(1).failure
                self.assertEqual(failure["kind"], "result")
                self.assertIn(message, failure["message"])
                self.assertEqual(worker.call(0).value, "fine")

    def test_an_integer_of_5000_digits_is_its_nearest_number(self):
        self.assertEqual(self.worker("result = str(params)").call(b"9" * 5000).value, "inf")

    # ---- Logs

    def test_everything_that_prints_is_the_log(self):
        source = (
            "import logging, sys, warnings\ndef handle(params):\n  logging.warning('w1')\n  warnings.warn('w2')\n"
            "  sys.stdout.buffer.write(b'\\xff\\x00')\n  sys.stdout.writelines(['a', 'b'])\n  print('\\ud800', flush=True)\n"
            "  sys.stdout.close()\n  print('closed')\n  return [sys.stdout.isatty(), sys.stdout.fileno(), sys.stdout.encoding]"
        )
        outcome = self.worker(source).call()
        self.assertEqual(outcome.value, [False, 1, "utf-8"])
        self.assertEqual(outcome.log(0), b"\xff\x00ab\\ud800\nclosed\n")
        self.assertIn(b"WARNING:root:w1\n", outcome.log(1))
        self.assertIn(b"UserWarning: w2", outcome.log(1))

    def test_a_line_of_100_mb_is_cut_and_counted(self):
        outcome = self.worker("def handle(params): print('x' * 100_000_000)").call()
        self.assertEqual((len(outcome.log()), outcome.dropped), (256 << 10, 100000001 - (256 << 10)))

    def test_a_stream_of_the_program_is_flushed(self):
        source = "import io, sys\nsys.stdout = io.TextIOWrapper(io.BufferedWriter(io.FileIO(1, 'w', closefd=False)))\ndef handle(params): print('kept')"
        worker = self.worker(source)
        self.assertEqual(worker.call().log(), b"")
        self.assertEqual(worker.raw_output(), b"kept\n")

    # ---- Late work

    def test_late_threads_cannot_answer(self):
        source = (
            "import threading, time\ndef late():\n  while True:\n    print('late')\n    time.sleep(0.001)\n"
            "threading.Thread(target=late, daemon=True).start()\n"
            "def handle(params):\n  time.sleep(0.002)\n  return params"
        )
        worker = self.worker(source)
        for n in range(100):
            outcome = worker.call(n)
            self.assertEqual(outcome.value, n)
            self.assertEqual(outcome.log().replace(b"late\n", b"").replace(b"late", b"").strip(), b"")

    def test_threads_that_print_much_keep_frames_whole(self):
        source = (
            "import threading\nclass Loud:\n  def __del__(self): print('finalizer')\n"
            "def work():\n  for n in range(3000):\n    loud = Loud(); loud.self = loud\n    print('x' * 200)\n"
            "def handle(params):\n  threads = [threading.Thread(target=work) for _ in range(4)]\n"
            "  for t in threads: t.start()\n  for t in threads: t.join()\n  return params"
        )
        worker = self.worker(source, log_bytes_max=64 << 20)
        outcome = worker.call(5)
        self.assertEqual(outcome.value, 5)
        self.assertEqual(outcome.log().count(b"x"), 4 * 3000 * 200)

    def test_late_tasks_run_while_a_later_call_does(self):
        source = (
            "import asyncio\nasync def late():\n  await asyncio.sleep(0.01)\n  print('late')\nkept = []\n"
            "async def handle(params):\n  if params == 1: kept.append(asyncio.ensure_future(late()))\n"
            "  else: await asyncio.sleep(0.05)\n  return params"
        )
        worker = self.worker(source)
        first, second = worker.call(1), worker.call(2)
        self.assertEqual((first.value, first.log(), second.value, second.log()), (1, b"", 2, b"late\n"))

    def test_a_fork_cannot_answer(self):
        source = "import os\ndef handle(params):\n  pid = os.fork()\n  print('child' if pid == 0 else 'parent')\n  if pid: os.waitpid(pid, 0)\n  return params"
        worker = self.worker(source)
        for n in range(3):
            outcome = worker.call(n)
            self.assertEqual((outcome.value, outcome.log()), (n, b"parent\n"))
        self.assertEqual(worker.raw_output(), b"child\n" * 3)

    # ---- Hostile programs

    def test_changed_modules_break_only_the_program(self):
        breakers = [
            "import json, json.encoder, json.decoder\njson.loads = json.dumps = json.encoder.c_make_encoder = json.JSONEncoder = json.JSONDecoder = None\njson.encoder.encode_basestring = json.decoder.scanstring = None",
            "import sys\nsys.stdout = sys.stderr = None",
            "import sys\nsys.stdout = sys.stderr = object()",
            "import sys\nsys.stdout.detach()\nsys.stdout.write = None",
            "import builtins\nfor n in ('print', 'len', 'str', 'bytes', 'isinstance', 'hasattr', 'getattr', 'type', 'memoryview', 'callable', 'enumerate', 'range', 'max'): setattr(builtins, n, None)",
            "import os\nfor n in ('read', 'write', 'readv', 'writev', '_exit'): setattr(os, n, None)",
            "import sys\nsys.modules.clear()",
            "import sys\nfor name in ('traceback', 'linecache', 'types', 'asyncio', 'io', 'select'): sys.modules[name] = None",
            "import traceback, linecache\ntraceback.TracebackException = None\nlinecache.cache = None",
            "import time, struct\ntime.monotonic = None\nstruct.Struct = None",
            "import sys\nsys.setrecursionlimit(100)",
            "import gc\ngc.disable()",
            "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)",
        ]
        for breaker in breakers:
            with self.subTest(breaker=breaker):
                worker = self.worker(breaker + "\ndef handle(params):\n  if params == 'throw': raise ValueError('boom')\n  return params")
                for _ in range(2):
                    self.assertEqual(worker.call({"a": [1, "é"]}).value, {"a": [1, "é"]})
                    failure = worker.call("throw").failure
                    self.assertEqual((failure["kind"], failure["type"], failure["message"]), ("threw", "ValueError", "boom"))

    def test_the_socket_may_be_made_non_blocking(self):
        worker = self.worker("import os\nos.set_blocking(3, False)\ndef handle(params): return 'x' * params")
        for size in (1, 5 << 20, 1):
            self.assertEqual(len(worker.call(size).value), size)

    def test_nothing_is_written_to_the_raw_streams(self):
        worker = self.worker(self.print_both)
        worker.call()
        self.assertEqual(worker.raw_output(), b"")


if __name__ == "__main__":
    unittest.main()
