"""Keeps a server busy with everything at once, and says afterwards what it has lost or kept: memory, descriptors, records, lines.

    python3 bench/load/mixed_load.py --minutes 60          # ./dev bench load --minutes 60
    python3 bench/load/mixed_load.py --smoke               # seconds: that it works

Actors, each a thread with a connection of its own, at a bounded rate: calls in every runtime, failing calls and calls over their
time, cached calls, sessions that are opened, executed, changed and ended, new versions of functions, archives, followers of the log,
questions about calls and logs, scrapes of /metrics, and kill -9 of workers. Every answer is checked by who asked.

It rests before and after: nothing is asked until the workers that idle are gone, and what the server then holds is compared.
"""
import argparse
import collections
import http.client
import io
import json
import os
import pathlib
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "e2e"))
import tools  # noqa: E402
from seam_server import SEAM, Server, children_of, wait_until  # noqa: E402

WORKER = re.compile(rb"worker\.(js|py)|zygote")
# What a call may meet whose worker is killed under it, or that comes while another one starts.
KILLED = {"RUNTIME_ERROR", "UNAVAILABLE"}
LAST_LINE = "line last"  # printed when everything else has been, again and again until every follower has gone
SCRIPTS = {
    "nodejs": "console.log('in a session'); return event.params.n * 2;",
    "python": "print('in a session')\nresult = params['n'] * 2",
}


class Wrong(Exception):
    """An answer that nothing here explains."""


class Load:
    def __init__(self, server):
        self.server = server
        self.stop = threading.Event()
        self.lock = threading.Lock()
        self.calls = set()  # ids of all calls that were answered
        self.counts = collections.Counter()
        self.wrong = []
        self.printed, self.followed, self.following = set(), set(), threading.Event()
        self.killed = 0
        self.metrics = ""

    # One thread: asks over a connection of its own, again where the server has closed it.
    class Client:
        def __init__(self, load):
            self.load, self.connection = load, load.server.connection(60)

        def ask(self, method, path, body=None, headers=None):
            try:
                return self.load.server.request(method, path, body, headers, self.connection)
            except (http.client.HTTPException, ConnectionError):
                self.connection.close()
                return self.load.server.request(method, path, body, headers, self.connection)

        def json(self, method, path, body=None, expected=(200,), headers=None):
            status, _, data = self.ask(method, path, body, headers)
            if status not in expected:
                raise Wrong(f"{method} {path}: {status} {data[:300]}")
            return json.loads(data) if data else None

        def put(self, path, body, headers=None):
            """Whether it was taken; the worker that loads it may be one of those that are killed."""
            answer = self.json("PUT", path, body, (200, 201, 400, 503), headers)
            if "error" in answer and "killed by signal 9" not in answer["error"]["message"]:
                raise Wrong(f"PUT {path}: {answer['error']}")
            return "error" not in answer

        def call(self, path, body, kind, errors=frozenset()):
            """Returns the result, or the code of an error that is one of `errors` or comes of a kill."""
            status, _, data = self.ask("POST", path, body)
            answer = json.loads(data)
            if status == 200:
                self.note(answer["call_id"], kind, "ok")
                return answer["result"]
            error = answer["error"]
            if error["code"] not in errors | KILLED:
                raise Wrong(f"{path}: {status} {data[:300]}")
            if "call_id" in error["details"]:
                self.note(error["details"]["call_id"], kind, error["code"])
            return error["code"]

        def note(self, call_id, kind, outcome):
            with self.load.lock:
                self.load.calls.add(bytes.fromhex(call_id.replace("-", "")))
                self.load.counts[kind, outcome] += 1

        def invoke(self, name, params, kind, **more):
            return self.call(f"/api/v1/functions/{name}/invoke", {"params": params}, kind, **more)

    def actor(self, step, pause):
        """Runs `step(client, n)` again and again, about every `pause` seconds."""
        def run():
            client, n = self.Client(self), 0
            while not self.stop.is_set():
                try:
                    step(client, n)
                except Exception as error:  # all of them are what this looks for
                    with self.lock:
                        self.wrong.append(f"{step.__name__}: {type(error).__name__}: {error}")
                n += 1
                self.stop.wait(pause * random.uniform(0.5, 1.5))
            client.connection.close()
        thread = threading.Thread(target=run, name=step.__name__)
        thread.start()
        return thread

    def expect(self, got, right, what):
        """Whether it is `right`; an answer that comes of a kill is none."""
        if got != right and not (isinstance(got, str) and got in KILLED):
            raise Wrong(f"{what}: {got!r} instead of {right!r}")
        return got == right

    # --- the actors -----------------------------------------------------------------------------

    def javascript(self, client, n):
        self.expect(client.invoke("nodejs-calculator", {"operation": "add", "a": n, "b": 1}, "nodejs"), {"result": n + 1}, "sum")

    def python(self, client, n):
        got = client.invoke("python-text_processor", {"action": "count_words", "text": "a b " * (n % 50)}, "python")
        self.expect(got, {"result": 2 * (n % 50)}, "words")

    def wasm(self, client, n):
        got = client.invoke("wasm-text_stats", {"text": "a b\n" * (n % 50)}, "wasm")
        self.expect(got["words"] if isinstance(got, dict) else got, 2 * (n % 50), "words")

    def failing(self, client, n):
        code = client.invoke("nodejs-failing", {"spin": n % 10 == 0}, "failing", errors={"TIMEOUT"})
        if code not in {"RUNTIME_ERROR", "TIMEOUT", "UNAVAILABLE"}:
            raise Wrong(f"failing: {code}")

    def refused(self, client, n):
        client.json("POST", "/api/v1/functions/nodejs-strict/invoke", {"params": {"a": "x"}}, expected=(400,))
        client.json("POST", "/api/v1/functions/nodejs-strict/invoke", {"params": "x" * 100_000}, expected=(400,))
        client.json("GET", f"/api/v1/functions/nodejs-none_{n}", expected=(404,))

    def cached(self, client, n):
        self.expect(client.invoke("nodejs-kept", {"n": n % 500, "pad": "x" * 2000}, "cached"), n % 500, "kept")

    def sessions(self, client, n):
        language = ("nodejs", "python")[n % 2]
        opened = client.json("POST", "/api/v1/initialize", {"script_content": SCRIPTS[language]},
                             headers={"Language-Title": f"{language}-churn_{n % 7}"})
        session = opened["request_id"]
        for i in range(3):
            self.expect(client.call(f"/api/v1/execute/{session}", {"params": {"n": i}}, "session"), 2 * i, "session")
        client.json("PATCH", f"/api/v1/sessions/{session}", {"context": {"timeout_ms": 5000}})
        client.json("DELETE", f"/api/v1/sessions/{session}", expected=(204,))

    def versions(self, client, n):
        name = "/api/v1/functions/python-deployed"
        if client.put(name, {"content": f"result = {n}"}):
            self.expect(client.call(name + "/invoke", {"params": {}}, "version"), n, "version")
        if n % 20 == 19:
            client.json("DELETE", name, expected=(204, 404))

    def archives(self, client, n):
        name = "/api/v1/functions/nodejs-packed"
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for path, text in (("main.js", "const n = require('./lib/n'); module.exports.handler = () => n;"),
                               ("lib/n.js", f"module.exports = {n};")):
                info = tarfile.TarInfo(path)
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text.encode()))
        mark = "a-boundary"
        body = (f'--{mark}\r\nContent-Disposition: form-data; name="manifest"\r\n\r\n{json.dumps({"entry": "main.js"})}\r\n'
                f'--{mark}\r\nContent-Disposition: form-data; name="content"; filename="content"\r\n\r\n').encode()
        body += packed.getvalue() + f"\r\n--{mark}--\r\n".encode()
        if client.put(name, body, headers={"Content-Type": f"multipart/form-data; boundary={mark}"}):
            self.expect(client.call(name + "/invoke", {"params": {}}, "archive"), n, "archive")
        if n % 5 == 4:
            client.json("DELETE", name, expected=(204, 404))

    def printing(self, client, n):
        mark = f"line {n} of {id(client)}"
        if self.expect(client.invoke("python-printing", {"mark": mark}, "printing"), "printed", "printing"):
            with self.lock:
                self.printed.add(mark)

    def storm(self, client, n):
        client.invoke("nodejs-storm", {}, "storm")

    def questions(self, client, n):
        for path in ("/api/v1/calls?status=error&since=1m", "/api/v1/calls?function=nodejs-calculator&page=2",
                     "/api/v1/logs?function=python-printing", "/api/v1/functions?per_page=100", "/api/v1/sessions", "/health",
                     "/openapi.json"):
            client.json("GET", path)

    def scrapes(self, client, n):
        status, _, data = client.ask("GET", "/metrics")
        if status != 200:
            raise Wrong(f"/metrics: {status}")
        self.metrics = data.decode()

    def kills(self, client, n):
        """Ends a worker as the machine's memory killer would."""
        workers = []
        for pid in children_of(self.server.process.pid):
            try:
                if WORKER.search(pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()):
                    workers.append(pid)
            except OSError:
                pass
        if workers:
            try:
                os.kill(random.choice(workers), signal.SIGKILL)
                self.killed += 1
            except ProcessLookupError:
                pass

    def follower(self, patience):
        """Follows the log to its end, and goes elsewhere every `patience` seconds; the first one, without, stays to LAST_LINE."""
        over = False
        while not over and not (patience and self.stop.is_set()):
            connection = self.server.connection(3600)
            try:
                connection.request("GET", "/api/v1/logs?follow=true" + ("" if patience else "&function=python-printing"))
                answer = connection.getresponse()
                if not patience:
                    self.following.set()
                end = time.monotonic() + patience
                while line := answer.readline():
                    text = json.loads(line).get("text", "").strip()
                    if patience and (self.stop.is_set() or time.monotonic() > end):
                        break
                    over = not patience and text == LAST_LINE
                    if over:
                        break
                    if not patience and text.startswith("line "):
                        self.followed.add(text)
            except (http.client.HTTPException, OSError) as error:
                with self.lock:
                    self.wrong.append(f"follower: {type(error).__name__}: {error}")
            finally:
                connection.close()


def memory(pid):
    """Resident and anonymous bytes of one process."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return tuple(int(re.search(rf"{name}:\s+(\d+)", text)[1]) * 1024 for name in ("VmRSS", "RssAnon"))


def descriptors(pid):
    """What each open descriptor is, without the numbers that differ."""
    kinds = collections.Counter()
    for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            kinds[re.sub(r"\d+", "N", os.readlink(entry))] += 1
        except OSError:
            pass
    return kinds


def rest(server):
    """Waits until nothing runs, no worker idles and every record is written; returns what is held then."""
    def value(name, text, **labels):
        found = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines()
                 if line.startswith(name) and all(f'{key}="{each}"' in line for key, each in labels.items())]
        return sum(found)

    def quiet():
        text = server.request("GET", "/metrics")[2].decode()
        return (value("seam_workers{", text, state="idle") == value("seam_workers{", text, state="busy") == 0 and
                value("seam_workers{", text, state="changing") == 0 and value("seam_records_waiting ", text) == 0 and
                value("seam_http_connections_open ", text) <= 1)
    wait_until(quiet, 300, "the server's rest")
    time.sleep(2)  # what the allocator gives back
    pid = server.process.pid
    return {"memory": memory(pid), "descriptors": descriptors(pid), "processes": len(children_of(pid)),
            "threads": len(os.listdir(f"/proc/{pid}/task"))}


def put(server, name, content, **more):
    status, body = server.call("PUT", f"/api/v1/functions/{name}", {"content": content, **more})
    if status not in (200, 201):
        raise Wrong(f"PUT {name}: {status} {body}")


def prepare(server):
    put(server, "nodejs-failing", "if (event.params.spin) while (true) {}\nthrow new Error('as it should');", limits={"timeout_ms": 200})
    put(server, "nodejs-strict", "return 1;", schema={"params": {"type": "object", "properties": {"a": {"type": "number"}}}})
    put(server, "nodejs-kept", "return event.params.n;", cacheable=True)
    put(server, "python-printing", "print(params['mark'])\nresult = 'printed'")
    put(server, "nodejs-storm", "for (let i = 0; i < 2000; i++) console.log('storm ' + i + ' ' + 'x'.repeat(80)); return 1;")


def run(load, seconds):
    followers = [threading.Thread(target=load.follower, args=(patience,)) for patience in (0, 7, 11)]
    for each in followers:
        each.start()
    if not load.following.wait(60):
        raise Wrong("the log is not followed after 60 s")
    actors = [load.actor(*each) for each in (
        (load.javascript, 0.02), (load.python, 0.02), (load.wasm, 0.02), (load.cached, 0.02), (load.failing, 0.3), (load.refused, 0.5),
        (load.sessions, 0.2), (load.versions, 1.0), (load.archives, 3.0), (load.printing, 0.1), (load.storm, 0.5),
        (load.questions, 2.0), (load.scrapes, 5.0), (load.kills, 3.0))]
    end = time.monotonic() + seconds
    report = time.monotonic()
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 5))
        if time.monotonic() - report > 60:
            report = time.monotonic()
            resident, anonymous = memory(load.server.process.pid)
            print(f"{left / 60:5.1f} min left: {len(load.calls):,} calls, {len(load.wrong)} wrong, {load.killed} workers killed, "
                  f"{resident / 2**20:.1f} MiB ({anonymous / 2**20:.1f} anonymous)", flush=True)
    load.stop.set()
    for each in actors:
        each.join()
    while any(each.is_alive() for each in followers):
        load.server.invoke("python-printing", {"mark": LAST_LINE})
        followers[0].join(0.2)


def lost_records(data, calls):
    with sqlite3.connect(f"file:{data}/seam.db?mode=ro", uri=True) as database:
        kept = {bytes.fromhex(call.replace("-", "")) for call, in database.execute("SELECT call_id FROM request_logs")}
    return len(calls - kept), len(kept)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--warm-minutes", type=float, default=10, help="of the same load, before what is held is first looked at")
    parser.add_argument("--smoke", action="store_true", help="15 seconds, and no word on memory")
    options = parser.parse_args()
    seconds, warm = (12, 3) if options.smoke else (options.minutes * 60, options.warm_minutes * 60)
    problems = []
    with tempfile.TemporaryDirectory(prefix="seam-load-") as folder:
        os.chmod(folder, 0o755)
        server = Server(data=f"{folder}/data", arguments=["--records-bytes-max", "16GiB", "--cache-bytes-max", "1MiB",
                                                          "--runtimes-defaults-idle-seconds", "2" if options.smoke else "10"]).start()
        try:
            prepare(server)
            first = Load(server)
            run(first, warm)
            before = rest(server)
            load = Load(server)
            begin = time.monotonic()
            run(load, seconds)
            took = time.monotonic() - begin
            after = rest(server)
            checked = subprocess.run([tools.promtool(), "check", "metrics"], input=load.metrics, capture_output=True, text=True)
            log = server.log_text()
        finally:
            status = server.stop()
        lost, kept = lost_records(server.data, first.calls | load.calls)
    commit = json.loads(subprocess.run([SEAM, "version", "--json"], capture_output=True, text=True).stdout)["commit"]
    print(f"\n{took / 60:.1f} minutes, commit {commit[:12]}")
    for (kind, outcome), count in sorted(load.counts.items()):
        print(f"  {kind:10} {outcome:15} {count:>9,}")
    (resident, anonymous), (resident_after, anonymous_after) = before["memory"], after["memory"]
    print(f"workers killed           {load.killed}")
    print(f"memory at rest           {resident / 2**20:.1f} -> {resident_after / 2**20:.1f} MiB resident ({resident_after / resident - 1:+.1%}), "
          f"{anonymous / 2**20:.1f} -> {anonymous_after / 2**20:.1f} anonymous ({anonymous_after / anonymous - 1:+.1%})")
    opened = after["descriptors"] - before["descriptors"]
    print(f"descriptors at rest      {sum(before['descriptors'].values())} -> {sum(after['descriptors'].values())} {dict(opened) or ''}")
    print(f"processes, threads       {before['processes']} -> {after['processes']}, {before['threads']} -> {after['threads']}")
    print(f"records                  {len(first.calls | load.calls):,} calls answered, {lost} without a record, {kept:,} records")
    print(f"lines followed           {len(load.printed & load.followed):,} of {len(load.printed):,} printed")
    print(f"wrong answers            {len(first.wrong) + len(load.wrong)}")
    print(f"promtool                 {'accepts the metrics' if checked.returncode == 0 else checked.stderr}")
    for text in (first.wrong + load.wrong)[:20]:
        print("  " + text)
    if first.wrong or load.wrong:
        problems.append("wrong answers")
    if lost:
        problems.append("lost records")
    if load.printed - load.followed:
        problems.append("lost lines")
    if checked.returncode:
        problems.append("metrics that promtool refuses")
    if status:
        problems.append(f"exit status {status}")
    if "internal error" in log:
        problems.append("internal errors: " + next(line for line in log.splitlines() if "internal error" in line))
    if sum(after["descriptors"].values()) > sum(before["descriptors"].values()):
        problems.append("more descriptors")
    if not options.smoke and resident_after > resident * 1.05:
        problems.append("more memory")
    print("Found: " + ", ".join(problems) if problems else "Nothing lost, nothing leaked.")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
