"""WebAssembly engines in one server: chosen by settings, by a function and by a session; fallbacks, libraries that are not
there, and engines in processes of their own, one of which is killed.

An engine whose library was not built here is left out, with the reason; that it is missing is then one more case of
those that are tried with a folder without libraries.
"""

import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest

from seam_server import SEAM, Server, children_of, wait_until

ENGINES = ("wasmtime", "wazero", "wasmi")
SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char result[65536];

__attribute__((export_name("alloc"))) void* allocate(uint32_t size) { return malloc(size + 1); }

__attribute__((export_name("handle"))) uint64_t handle(char* params, uint32_t size) {
  params[size] = 0;
  fprintf(stderr, "got %u bytes\n", size);
  if (strstr(params, "\"spin\"")) for (volatile int i = 0;; ++i) {}
  if (strstr(params, "\"trap\"")) __builtin_trap();
  if (strstr(params, "\"exit\"")) exit(7);
  if (strstr(params, "\"grow\"")) for (;;) { char* volatile more = malloc(1 << 20); if (!more) abort(); memset(more, 1, 1 << 20); }
  const int length = snprintf(result, sizeof result, "{\"got\":%s,\"region\":\"%s\"}", params, getenv("REGION") ? getenv("REGION") : "");
  return (uint64_t)(uintptr_t)result << 32 | (uint32_t)length;
}
"""


def settings_error(*arguments, text=None):
    """What `seam config` says of settings that are wrong; with `text` as its seam.yaml."""
    with tempfile.TemporaryDirectory() as folder:
        if text is not None:
            (pathlib.Path(folder) / "seam.yaml").write_text(text)
        done = subprocess.run([str(SEAM), "config", *arguments], cwd=folder, capture_output=True, text=True, env={"PATH": os.environ["PATH"]})
    return done.returncode, done.stderr


def loadable(engine):
    """None, or why the engine cannot be loaded here."""
    done = subprocess.run([str(SEAM), "doctor", "--json", "--runtime-config-type", engine], capture_output=True, text=True, cwd="/")
    if not done.stdout:
        return done.stderr.strip()
    check = next(each for each in json.loads(done.stdout)["checks"] if each["name"] == engine)
    return None if check["ok"] else check["detail"]


class Settings(unittest.TestCase):
    def effective(self, text):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "seam.yaml").write_text(text)
            done = subprocess.run([str(SEAM), "config", "--json"], cwd=folder, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=True)
        return {each["key"]: each["value"] for each in json.loads(done.stdout)["settings"]}

    def test_the_form_of_the_documents(self):
        values = self.effective("runtime_config:\n  type: wasmi\n  fallback: wasmtime\n  wasmtime: { strategy: cranelift }\n"
                                "  wazero: { mode: interpreter }\n")
        self.assertEqual([values[f"runtime_config.{key}"] for key in ("type", "fallback", "wasmtime.strategy", "wazero.mode")],
                         ["wasmi", "wasmtime", "cranelift", "interpreter"])
        for text in ("runtime: { mode: interpreter }\n", "runtime_config: { runtime: { mode: interpreter } }\n"):
            self.assertEqual(self.effective(text)["runtime.mode"], "interpreter")

    def test_what_is_wrong_is_named_with_what_would_be_right(self):
        for text, said in (
                ("runtime_config: { type: wasmer }\n", ['runtime_config.type: "wasmer"', "wasmtime", "wazero", "wasmi"]),
                ("runtime_config: { engine: wasmi }\n", ["runtime_config.engine: no such setting", "type", "fallback", "wasmtime", "wazero"]),
                ("runtime_config: { wazero: { mode: fast } }\n", ['runtime_config.wazero.mode: "fast"', "compiled", "interpreter"]),
                ("runtime_config: { wazero: { modes: compiled } }\n", ["runtime_config.wazero.modes: no such setting", "mode"]),
                ("runtime_config: { wasmtime: { strategy: llvm } }\n", ['runtime_config.wasmtime.strategy: "llvm"', "cranelift"]),
                ("runtime_config: { fallback: none of them }\n", ["runtime_config.fallback", "wasmtime", "wazero", "wasmi"]),
                ("runtime_config: { type: wasmi, fallback: wasmi }\n", ["runtime_config.fallback", "is the engine itself"]),
                ("runtime_config: { type: wasmi }\nruntime: { mode: compiled }\n", ["runtime.mode", "older form", "runtime_config.type"]),
                ("runtime: { mode: jit }\n", ['runtime.mode: "jit"', "compiled", "interpreter"])):
            with self.subTest(text):
                status, error = settings_error(text=text)
                self.assertEqual(status, 2)
                for part in said:
                    self.assertIn(part, error)
        for flag, value in (("--runtime-config-type", "wasmer"), ("--runtime-config-wazero-mode", "fast"), ("--runtimes-wasm-isolation", "thread"),
                            ("--runtimes-wasm-engines", "engines")):
            with self.subTest(flag):
                self.assertEqual(settings_error(flag, value)[0], 2)


class Guest(unittest.TestCase):
    source = SOURCE

    @classmethod
    def setUpClass(cls):
        if not shutil.which("clang-19") or not pathlib.Path("/usr/include/wasm32-wasi").exists():
            raise unittest.SkipTest("clang-19 or wasi-libc is not installed")
        linker = shutil.which("wasm-ld-19") or "/usr/lib/llvm-19/bin/wasm-ld"
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder) / "guest.c"
            source.write_text(cls.source)
            subprocess.run(["clang-19", "--target=wasm32-wasi", "-O1", f"-fuse-ld={linker}", "-mexec-model=reactor", str(source), "-o", folder + "/guest.wasm"], check=True)
            cls.module = (pathlib.Path(folder) / "guest.wasm").read_bytes()
        cls.content = base64.b64encode(cls.module).decode()
        cls.missing = {engine: loadable(engine) for engine in ENGINES}
        cls.there = [engine for engine in ENGINES if cls.missing[engine] is None]

    def put(self, server, name, **more):
        return server.call("PUT", f"/api/v1/functions/{name}", {"content": self.content, "encoding": "base64", **more})

    def works(self, server, name, **more):
        params = {"n": 1}
        status, body = server.invoke(name, params, **more)
        self.assertEqual((status, body.get("result", {}).get("got")), (200, params), body)

    def ran_on(self, server, name, **more):
        """The engine that the record of one more call names."""
        status, body = server.invoke(name, {}, **more)
        self.assertEqual(status, 200, body)
        status, record = server.call("GET", f"/api/v1/calls/{body['call_id']}")
        self.assertEqual(status, 200, record)
        shown = subprocess.run([str(SEAM), "calls", body["call_id"], "--url", server.started["url"]], capture_output=True, text=True)
        self.assertIn(f"\n  engine    {record['runtime_metrics']['engine']}\n", shown.stdout, shown.stderr)
        return record["runtime_metrics"]["engine"]

    def error(self, answer, status, code, *parts):
        self.assertEqual((answer[0], answer[1]["error"]["code"]), (status, code), answer[1])
        for part in parts:
            self.assertIn(part, answer[1]["error"]["message"])

    def fails_alike(self, server, name):
        """What a guest does to itself ends its own call, in the same words on every engine."""
        begun = time.monotonic()
        self.error(server.invoke(name, {"do": "spin"}, context={"timeout_ms": 300}), 504, "TIMEOUT")
        self.assertLess(time.monotonic() - begun, 60)
        for do, kind, word in (("trap", "Trap:Unreachable", ""), ("exit", "Exit", "code 7")):
            answer = server.invoke(name, {"do": do})
            self.error(answer, 500, "RUNTIME_ERROR", word)
            self.assertEqual(answer[1]["error"]["details"]["type"], kind, answer[1])
        answer = server.invoke(name, {"do": "grow"})
        self.error(answer, 500, "RUNTIME_ERROR", "memory limit of 256 MiB")
        self.works(server, name)


class SideBySide(Guest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server().start()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def test_each_function_has_its_own_engine(self):
        for engine in self.there:
            status, body = self.put(self.server, f"wasm-on_{engine}", engine=engine)
            self.assertEqual(status, 201, body)
            self.assertEqual(body["implementations"][0]["engine"], engine)
            versions = self.server.call("GET", f"/api/v1/functions/wasm-on_{engine}/versions")[1]["versions"]
            self.assertEqual([each["engine"] for each in versions], [engine])
        for engine in self.there:
            with self.subTest(engine):
                self.fails_alike(self.server, f"wasm-on_{engine}")
                status, body = self.server.invoke(f"wasm-on_{engine}", {}, context={"environment": {"REGION": "eu"}})
                self.assertEqual((status, body["result"]["region"]), (200, "eu"))
                self.assertEqual(self.ran_on(self.server, f"wasm-on_{engine}"), engine)
        detail = self.server.call("GET", "/health")[1]["details"]["runtimes"]["wasm"]
        for engine in self.there:
            self.assertIn(engine, detail)

    def test_a_session_and_one_call_may_name_an_engine(self):
        self.assertEqual(self.put(self.server, "wasm-plain")[0], 201)
        for engine in self.there:
            with self.subTest(engine):
                options = {"compile_options": {"engine": engine}}
                self.works(self.server, "wasm-plain", context=options)
                self.assertEqual(self.ran_on(self.server, "wasm-plain", context=options), engine)
                for script in (None, self.content):
                    status, session = self.server.initialize("wasm-plain", script, options)
                    self.assertEqual(status, 200, session)
                    for _ in range(2):
                        status, body = self.server.execute(session["request_id"], {"n": 1})
                        self.assertEqual((status, body["result"]["got"]), (200, {"n": 1}), body)

    def test_what_is_no_engine_is_refused_with_those_that_are(self):
        for more, said in (({"engine": "wasmer"}, 'engine is "wasmer"'), ({"engine": "wasmtime", "fallback": "v8"}, 'fallback is "v8"'), ({"engine": 3}, "engine is 3"),
                           ({"fallback": ""}, 'fallback is ""'), ({"isolation": "thread"}, 'isolation is "thread": it must be "process"'),
                           ({"engine": "wasmtime", "fallback": "wasmtime"}, "the engine itself")):
            with self.subTest(more):
                self.error(self.put(self.server, "wasm-wrong", **more), 400, "INVALID_REQUEST", said)
        for key in ("engine", "fallback"):
            self.error(self.put(self.server, "wasm-wrong", **{key: "wasmer"}), 400, "INVALID_REQUEST", "wasmtime")
        boundary = "x" * 20
        form = (f'--{boundary}\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n{{"engine": "wasmer"}}\r\n'
                f'--{boundary}\r\nContent-Disposition: form-data; name="content"\r\n\r\n').encode() + self.module + f"\r\n--{boundary}--\r\n".encode()
        answer = self.server.call("PUT", "/api/v1/functions/wasm-wrong", form, {"Content-Type": f"multipart/form-data; boundary={boundary}"})
        self.error(answer, 400, "INVALID_REQUEST", 'engine is "wasmer"', "wasmtime")
        answer = self.server.call("PUT", "/api/v1/functions/nodejs-wrong", {"content": "return 1;", "engine": "wasmtime"})
        self.error(answer, 400, "INVALID_REQUEST", 'engine is "wasmtime": the runtime nodejs has no engines')
        self.assertEqual(self.put(self.server, "wasm-right")[0], 201)
        wrong = {"compile_options": {"engine": "wasmer"}}
        said = 'context.compile_options.engine is "wasmer"'
        self.error(self.server.invoke("wasm-right", {}, context=wrong), 400, "INVALID_REQUEST", said)
        self.error(self.server.initialize("wasm-right", None, wrong), 400, "INVALID_REQUEST", said)
        self.error(self.server.initialize("wasm-right", self.content, wrong), 400, "INVALID_REQUEST", said)
        self.error(self.server.initialize("nodejs-x", "return 1;", {"compile_options": {"engine": "wasmi"}}), 400, "INVALID_REQUEST", "nodejs")
        self.assertEqual(self.server.call("GET", "/api/v1/functions/wasm-wrong")[0], 404)

    def test_the_command_line_names_them_too(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "guest.wasm"
            path.write_bytes(self.module)
            done = subprocess.run([str(SEAM), "functions", "put", "wasm-by_hand", str(path), "--engine", "wasmtime", "--fallback", "wasmi", "--own-process",
                                   "--url", self.server.started["url"], "--json"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        one = json.loads(done.stdout)["implementations"][0]
        self.assertEqual((one["engine"], one["options"]["fallback"], one["options"]["isolation"]), ("wasmtime", "wasmi", "process"))


class Missing(Guest):
    """The folder of libraries is an empty one: wasmi and wazero cannot be loaded."""

    def says(self, server, text):
        """Engines are loaded beside the start, which does not wait for them."""
        wait_until(lambda: text in server.log_text(), 60, f"'{text}' in the log")

    def test_only_what_needs_it_is_touched(self):
        with tempfile.TemporaryDirectory() as folder:
            data = folder + "/data"
            arguments = ["--runtimes-wasm-engines", folder]
            with Server(data=data, arguments=arguments) as server:
                self.assertEqual(server.call("GET", "/health")[1]["status"], "ok")
                self.assertEqual(self.put(server, "wasm-plain")[0], 201)
                for engine in ("wasmi", "wazero"):
                    self.error(self.put(server, f"wasm-on_{engine}", engine=engine), 503, "UNAVAILABLE", f"the engine {engine} cannot be loaded", "fallback")
                    status, body = self.put(server, f"wasm-or_{engine}", engine=engine, fallback="wasmtime")
                    self.assertEqual(status, 201, body)
                    self.works(server, f"wasm-or_{engine}")
                    self.assertEqual(self.ran_on(server, f"wasm-or_{engine}"), "wasmtime")
                self.error(self.put(server, "wasm-or_none", engine="wasmi", fallback="wazero"), 503, "UNAVAILABLE", "its fallback neither")
                self.degraded(server)
                self.works(server, "wasm-plain")
                self.assertEqual(server.invoke("nodejs-calculator", {"operation": "add", "a": 1, "b": 2})[0], 200)
            # It is said at the start, where a function that is there names it.
            with Server(data=data, arguments=arguments) as server:
                self.says(server, "wasmi cannot be loaded")
                self.degraded(server)
                self.works(server, "wasm-or_wasmi")

    def degraded(self, server):
        health = server.call("GET", "/health")[1]
        self.assertEqual((health["status"], health["components"]["runtimes"]["wasm"]), ("degraded", "up"), health)
        self.assertIn("wasmi cannot be loaded", health["details"]["runtimes"]["wasm"])

    def test_a_function_that_was_put_when_it_was_there(self):
        if "wasmi" not in self.there:
            self.skipTest(self.missing["wasmi"])
        with tempfile.TemporaryDirectory() as folder:
            data = folder + "/data"
            with Server(data=data) as server:
                self.assertEqual(self.put(server, "wasm-bound", engine="wasmi")[0], 201)
                self.works(server, "wasm-bound")
            with Server(data=data, arguments=["--runtimes-wasm-engines", folder]) as server:
                self.says(server, "wasmi cannot be loaded")
                self.error(server.invoke("wasm-bound", {}), 503, "UNAVAILABLE", "the engine wasmi cannot be loaded")
                self.works(server, "wasm-bound", context={"compile_options": {"engine": "wasmtime"}})
                self.degraded(server)

    def test_the_settings_name_it(self):
        with tempfile.TemporaryDirectory() as folder:
            arguments = ["--runtimes-wasm-engines", folder, "--runtime-config-type", "wasmi"]
            with Server(arguments=arguments) as server:
                self.says(server, "wasmi cannot be loaded")
                health = server.call("GET", "/health")[1]
                self.assertEqual((health["status"], health["components"]["runtimes"]["wasm"]), ("degraded", "down"), health)
                self.error(self.put(server, "wasm-plain"), 503, "UNAVAILABLE", "the engine wasmi cannot be loaded")
                self.assertEqual(self.put(server, "wasm-other", engine="wasmtime")[0], 201)
                self.works(server, "wasm-other")
            with Server(arguments=[*arguments, "--runtime-config-fallback", "wasmtime"]) as server:
                self.assertIn("wasmtime", server.log_text())
                self.assertEqual(self.put(server, "wasm-plain")[0], 201)
                self.works(server, "wasm-plain")
                self.degraded(server)
            done = subprocess.run([str(SEAM), "doctor", "--json", *arguments], capture_output=True, text=True, cwd="/")
            check = next(each for each in json.loads(done.stdout)["checks"] if each["name"] == "wasmi")
            self.assertEqual((check["ok"], check["essential"], done.returncode), (False, True, 1))
            self.assertIn("cannot be loaded", check["detail"])


class OwnProcess(Guest):
    def engine_processes(self, server):
        """The processes of engines below the server, by their command."""
        found = []
        for pid in children_of(server.process.pid):
            try:
                command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"engine-worker" in command and b"serve" in command:
                found.append(pid)
        return found

    def test_a_process_that_dies_takes_its_call_alone(self):
        for engine in self.there:
            with self.subTest(engine), Server(arguments=["--runtimes-wasm-warm-workers", "0"]) as server:
                self.assertEqual(self.put(server, "wasm-apart", engine=engine, isolation="process")[0], 201)
                self.assertEqual(self.put(server, "wasm-other", engine="wasmtime")[0], 201)
                self.assertEqual(self.ran_on(server, "wasm-apart"), engine)
                wait_until(lambda: self.engine_processes(server), what="an engine's process")
                self.fails_alike(server, "wasm-apart")
                answers = []
                spinning = threading.Thread(target=lambda: answers.append(server.invoke("wasm-apart", {"do": "spin"}, context={"timeout_ms": 120_000})))
                spinning.start()
                wait_until(lambda: any(self.ticks(pid) > 30 for pid in self.engine_processes(server)), 60, "a spinning guest")
                busiest = max(self.engine_processes(server), key=self.ticks)
                os.kill(busiest, signal.SIGKILL)
                spinning.join()
                self.error(answers[0], 500, "RUNTIME_ERROR", "SIGKILL")
                self.works(server, "wasm-apart")
                self.works(server, "wasm-other")
                self.assertEqual(server.call("GET", "/health")[1]["status"], "ok")

    @staticmethod
    def ticks(pid):
        try:
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0
        return int(fields[11]) + int(fields[12])

    def test_the_setting_puts_every_guest_apart(self):
        with Server(arguments=["--runtimes-wasm-isolation", "process"]) as server:
            status, body = server.invoke("wasm-text_stats", {"text": "one two"})
            self.assertEqual(status, 200, body)
            self.assertTrue(self.engine_processes(server))
            self.assertIn("in processes of its own", server.call("GET", "/health")[1]["details"]["runtimes"]["wasm"])

    def test_wazero_is_never_loaded_into_the_server(self):
        if "wazero" not in self.there:
            self.skipTest(self.missing["wazero"])
        with Server(arguments=["--runtime-config-type", "wazero"]) as server:
            self.assertEqual(self.put(server, "wasm-plain")[0], 201)
            self.works(server, "wasm-plain")
            self.assertNotIn("libseam_wazero", pathlib.Path(f"/proc/{server.process.pid}/maps").read_text())
            self.assertTrue(self.engine_processes(server))


if __name__ == "__main__":
    unittest.main()
