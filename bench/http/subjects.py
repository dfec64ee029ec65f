"""Who is measured, how each is started and installed, and what a right answer is."""
import base64
import dataclasses
import functools
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time
from typing import Callable, Optional

HERE = pathlib.Path(__file__).resolve().parent
PARAMS = '{"operation":"add","a":1,"b":2}'
NGINX = """
worker_processes 1;
daemon off;
pid nginx.pid;
error_log stderr crit;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; uwsgi_temp_path t4; scgi_temp_path t5;
  server { listen 127.0.0.1:%d; location / { default_type application/json; return 200 '{"result":3}'; } }
}
"""


def is_three(answer):
    return json.loads(answer) == {"result": 3}


@dataclasses.dataclass
class Request:
    name: str
    method: str = "POST"
    path: str = "/"
    body: str = PARAMS
    right: Callable[[str], bool] = is_three
    prepare: Optional[Callable] = None  # run once on the started server; returns the (seconds, CPU seconds) of a cold start


@dataclasses.dataclass
class Subject:
    name: str
    command: Callable  # (port, folder) -> argument list
    missing: Callable[[], str]  # why it cannot run, or ""
    install: Optional[Callable[[], Optional[str]]] = None  # returns why it failed, if it did
    environment: dict = dataclasses.field(default_factory=dict)
    probe: Request = None  # the first 200 to this ends the cold start
    requests: Callable = None  # (server) -> list of Request

    def __post_init__(self):
        self.probe = self.probe or Request(self.name)
        self.requests = self.requests or (lambda server: [Request(self.name)])


def tool_missing(*names):
    absent = [name for name in names if not shutil.which(name)]
    return f"{', '.join(absent)} not installed" if absent else ""


def file_missing(path):
    return "" if pathlib.Path(path).exists() else f"{path} is not there"


def run(*command, **options):
    """Shows the command's output; returns why it failed, if it did."""
    code = subprocess.run(command, stdout=sys.stderr, **options).returncode
    return f"`{' '.join(map(str, command))}` failed" if code else None


def every(root, build):
    peers = root / "build/bench/peers"
    yield nginx(peers)
    yield beast(build)
    yield Subject("node:http", lambda port, folder: ["node", str(HERE / "peers/calculator.js"), str(port)],
                  lambda: tool_missing("node"))
    framework = peers / "node/node_modules/.bin/functions-framework"
    yield Subject("functions-framework, Node",
                  lambda port, folder: [str(framework), f"--port={port}", "--target=calculator",
                                        f"--source={HERE / 'peers/calculator.js'}"],
                  lambda: tool_missing("node") or file_missing(framework),
                  lambda: tool_missing("npm") or run("npm", "install", "--no-fund", "--no-audit", "--prefix", str(peers / "node"),
                                                     "@google-cloud/functions-framework@5"),
                  {"NODE_ENV": "production"})
    yield from python_peers(peers)
    yield from wasmtime_serve(root, peers)
    yield from seam(root, build)


def nginx(peers):
    """Unpacked rather than installed where it is missing: Debian's package would start a server on port 80."""
    unpacked = peers / "nginx/usr/sbin/nginx"

    def program():
        return shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin") or (str(unpacked) if unpacked.exists() else None)

    def command(port, folder):
        (folder / "nginx.conf").write_text(NGINX % port)
        return [program(), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]

    def install():
        (peers / "nginx").mkdir(parents=True, exist_ok=True)
        return run("sh", "-c", "apt-get download nginx && dpkg -x nginx_*.deb .", cwd=peers / "nginx")

    return Subject("nginx return 200", command, lambda: "" if program() else "nginx not installed", install)


def beast(build):
    program = next((p for p in build.rglob("beast_hello") if p.is_file()), build / "bench/beast_hello")
    return Subject("bare Beast", lambda port, folder: [str(program), "--port", str(port)], lambda: file_missing(program))


def python_peers(peers):
    home = peers / "python"
    python = home / "bin/python"

    def install():
        for command in ([sys.executable, "-m", "venv", str(home)],
                        [str(python), "-m", "pip", "install", "-q", "functions-framework==3.*", "uvicorn[standard]"]):
            why = run(*command)
            if why:
                return why

    yield Subject("functions-framework, Python",
                  lambda port, folder: [str(home / "bin/functions-framework"), f"--port={port}", "--host=127.0.0.1",
                                        "--target=calculator", f"--source={HERE / 'peers/calculator.py'}"],
                  lambda: file_missing(home / "bin/functions-framework"), install)
    yield Subject("uvicorn, bare ASGI",
                  lambda port, folder: [str(home / "bin/uvicorn"), "calculator:app", f"--port={port}", "--no-access-log",
                                        f"--app-dir={HERE / 'peers'}"],
                  lambda: file_missing(home / "bin/uvicorn"), install)


def newest_cargo():
    """Rustup's or Debian's, or None: an old one may stand in front of the one that builds wasmtime."""
    found = {}
    for path in (os.environ["PATH"], "/usr/bin", str(pathlib.Path.home() / ".cargo/bin")):
        program = shutil.which("cargo", path=path)
        text = subprocess.run([program, "--version"], capture_output=True, text=True).stdout if program else ""
        if version := re.search(r"cargo (\d+)\.(\d+)", text):
            found[int(version[1]), int(version[2])] = program
    return found[max(found)] if found else None


def wasmtime_serve(root, peers):
    """The program of the wasmtime that Seam is built with, and Seam's own WebAssembly calculator as a component for it."""
    version = re.search(r'version = "=([\d.]+)"', (root / "third_party/wasmtime/Cargo.toml").read_text())[1]
    home = peers / f"wasmtime-{version}"
    program, component, wit = home / "bin/wasmtime", home / "calculator.wasm", home / "wit"
    sources = [HERE / "peers/wasi_http.c", HERE / "peers/calculator.c"]

    def missing():
        if file_missing(program) or file_missing(component):
            return file_missing(program) or file_missing(component)
        changed = any(source.stat().st_mtime > component.stat().st_mtime for source in sources)
        return f"{component} is older than its source" if changed else ""

    def install_program():
        """With what serving needs, and without unwinding, as Seam's own. `serve` does not compile without `component-model-async`."""
        cargo = newest_cargo()
        if not cargo:
            return "no cargo found: install rustc-web and cargo-web, or rustup"
        print(f"building wasmtime {version} by {cargo}: about 10 minutes on two idle cores, once", file=sys.stderr, flush=True)
        begin, target = time.monotonic(), home / "target"
        why = run(cargo, "install", "wasmtime-cli", "--version", f"={version}", "--locked", "--no-track", "--root", str(home),
                  "--no-default-features", "--features",
                  "run,serve,component-model-async,cranelift,parallel-compilation,pooling-allocator,disable-logging",
                  env={**os.environ, "PATH": f"{pathlib.Path(cargo).parent}:{os.environ['PATH']}", "CARGO_TARGET_DIR": str(target),
                       "CARGO_PROFILE_RELEASE_PANIC": "abort", "CARGO_PROFILE_RELEASE_STRIP": "debuginfo"})
        if why:
            return why
        print(f"built wasmtime {version} in {(time.monotonic() - begin) / 60:.1f} minutes", file=sys.stderr, flush=True)
        shutil.rmtree(target)

    def fetch_wit():
        """The crate that defines wasi:http for it brings the WIT."""
        crates = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo") / "registry/src"
        fetched = next(crates.glob(f"*/wasmtime-wasi-http-{version}/wit"), None)
        if not fetched:
            return f"no wasmtime-wasi-http-{version} in {crates}, where cargo unpacks it: remove {program}, to have it fetched again"
        shutil.copytree(fetched, wit, dirs_exist_ok=True)

    def build_component():
        tools = root / "build/tools"
        why = tool_missing("clang-19") or run(str(root / "third_party/wasm-tools/install.sh"), str(tools))
        if why:
            return why
        package = re.search(r"^package wasi:http(@[\d.]+);", (wit / "deps/http.wit").read_text(), re.MULTILINE)
        if not package:
            return f"{wit / 'deps/http.wit'} does not say its version, as `package wasi:http@0.2.0;` would"
        world = package[1]
        core, embedded = home / "core.wasm", home / "embedded.wasm"
        # With the library for long double printf and strtod write no message of their own, and so import no preview 1.
        return (run("clang-19", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-Wl,--strip-all",
                    f'-DWASI_VERSION="{world}"', "-o", str(core), str(sources[0]), "-lc-printscan-long-double")
                or run(str(tools / "wasm-tools"), "component", "embed", "--world", f"wasi:http/proxy{world}", str(wit), str(core),
                       "-o", str(embedded))
                or run(str(tools / "wasm-tools"), "component", "new", str(embedded), "-o", str(component)))

    @functools.cache  # both subjects fail by one failure
    def install():
        home.mkdir(parents=True, exist_ok=True)
        return (file_missing(program) and install_program()) or (file_missing(wit) and fetch_wit()) or build_component()

    def command(*options):
        # It keeps as much of a freed instance's memory as Seam does: a page that is kept needs no fault.
        return lambda port, folder: [str(program), "serve", "--addr", f"127.0.0.1:{port}", "-O", "pooling-memory-keep-resident=131072",
                                     "-O", "pooling-table-keep-resident=16384", *options, str(component)]

    yield Subject("wasmtime serve", command(), missing, install)
    yield Subject("wasmtime serve, instances reused", command("--max-instance-reuse-count", "1000000000"), missing, install)


def seam(root, build):
    """One server of ours, asked in several ways; records of calls are on, as they always are."""
    program = build / "seam"
    functions = {
        "nodejs-calculator": (root / "guests/examples/nodejs-calculator.js", PARAMS),
        "python-text_processor": (root / "guests/examples/python-text_processor.py",
                                  '{"action":"count_words","text":"one two three"}'),
        "wasm-calculator": (HERE / "peers/calculator.c", PARAMS),
    }

    def command(port, folder):
        return [str(program), "serve", "--host", "127.0.0.1", "--port", str(port), "--data", str(folder / "data"), "--threads", "1"]

    @functools.cache
    def content(source):
        """The body of its PUT."""
        if source.suffix != ".c":
            return json.dumps({"content": source.read_text()})
        module = build / "bench" / (source.stem + ".wasm")
        module.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["clang-19", "--target=wasm32-wasi", "-mexec-model=reactor", "-O2", "-o", str(module), str(source)], check=True)
        return json.dumps({"content": base64.b64encode(module.read_bytes()).decode(), "encoding": "base64"})

    def asked(server, method, path, body, headers=None):
        """Its answer, which must be a good one."""
        status, answer = server.ask(method, f"/api/v1/{path}", body, headers)
        if status not in (200, 201):
            raise RuntimeError(f"{method} {path} answered {status} {answer[:500]!r}")
        return answer

    def put_and_invoke(name, source, body):
        """The cold start of a function: from its PUT until its first answer."""
        def prepare(server):
            text = content(source)
            begin = time.monotonic()
            asked(server, "PUT", f"functions/{name}", text)
            asked(server, "POST", f"functions/{name}/invoke", body)
            return time.monotonic() - begin, None
        return prepare

    def session_of(server, name, script=None):
        body = json.dumps({"context": {}} if script is None else {"context": {}, "script_content": script})
        return json.loads(asked(server, "POST", "initialize", body, {"Language-Title": name}))["request_id"]

    def unseen_session(server, name, source, number):
        """A session of a program like `source` that no worker has seen."""
        if source.suffix == ".c":  # a session takes no module: a function of its own does
            asked(server, "PUT", f"functions/{name}-{number}", content(source))
            return session_of(server, f"{name}-{number}")
        comment = "#" if source.suffix == ".py" else "//"
        return session_of(server, name, f"{source.read_text()}\n{comment} {number}\n")

    def first_executes(name, source, body, programs=20):
        """The cold start of a program that is stored but that no worker has seen: its first execute, the median of many."""
        def prepare(server):
            seconds, cpu_seconds = [], 0.0
            for number in range(programs):
                session = unseen_session(server, name, source, number)
                time.sleep(0.1)  # the pool has an empty worker again
                cpu_before, begin = server.cpu_seconds(), time.monotonic()
                asked(server, "POST", f"execute/{session}", body)
                seconds.append(time.monotonic() - begin)
                time.sleep(0.1)  # what follows a first call, the next empty worker above all, is part of its cost
                cpu_seconds += server.cpu_seconds() - cpu_before
                server.ask("DELETE", f"/api/v1/sessions/{session}", "")
            return statistics.median(seconds), cpu_seconds / programs
        return prepare

    def result_is_three(answer):
        return is_three(json.dumps(json.loads(answer)["result"]))

    def is_cached_three(answer):
        return json.loads(answer)["cached"] and result_is_three(answer)

    def cached_request(name, before=lambda server: None):
        """A function whose result is kept: every call but the first is answered by the cache, and recorded like any other."""
        body = f'{{"params":{PARAMS}}}'
        function = "nodejs-cached_calculator"

        def prepare(server):
            before(server)
            text = json.dumps({**json.loads(content(functions["nodejs-calculator"][0])), "cacheable": True})
            begin = time.monotonic()
            asked(server, "PUT", f"functions/{function}", text)
            asked(server, "POST", f"functions/{function}/invoke", body)
            return time.monotonic() - begin, None
        return Request(name, "POST", f"/api/v1/functions/{function}/invoke", body, is_cached_three, prepare)

    def drained_elsewhere(server):
        """The threads that write records to the database share the client's core: there is no third one here."""
        server.move_threads({"seam-records", "store-write"}, server.client_core)

    def requests(server):
        yield Request("Seam, controller alone: GET /livez", "GET", "/livez", "", lambda answer: True)
        for name, (source, params) in functions.items():
            body = f'{{"params":{params}}}'
            yield Request(f"Seam, {name}: invoke", "POST", f"/api/v1/functions/{name}/invoke", body, result_is_three,
                          put_and_invoke(name, source, body))
            yield Request(f"Seam, {name}: execute in a session", "POST", f"/api/v1/execute/{session_of(server, name)}", body,
                          result_is_three, first_executes(name, source, body))
        yield cached_request("Seam, a cached result")
        yield Request("Seam, controller alone: GET of a function", "GET", "/api/v1/functions/nodejs-calculator", "",
                      lambda answer: json.loads(answer)["language_title"] == "nodejs-calculator")

    yield Subject("Seam", command, lambda: file_missing(program), probe=Request("ready", "GET", "/readyz", ""), requests=requests)
    yield Subject("Seam, records drained on the client's core", command, lambda: file_missing(program),
                  probe=Request("ready", "GET", "/readyz", ""),
                  requests=lambda server: [cached_request("Seam, a cached result, records drained on the client's core",
                                                          drained_elsewhere)])
