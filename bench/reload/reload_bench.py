#!/usr/bin/env python3
"""From a change of a function's file to the first answer that has it: `seam run` beside what users of other hosts run while they
write, and from `seam deploy` to that answer. See bench/README.md."""
import argparse
import http.client
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "bench/http"), str(ROOT / "tests/e2e")]
from processes import free_port  # noqa: E402
from subjects import run, tool_missing  # noqa: E402

PAUSE = 0.002  # between two tries
PATIENCE = 20
PEERS = ROOT / "build/bench/peers"


class Subject:
    """A function's file, what serves it, and how it is asked. `source(text)` is a function that answers with `text`."""

    def __init__(self, name, file, source, command, path="/", body="{}", environment=None, missing=lambda: "",
                 in_place=False):
        self.name, self.file, self.source, self.command = name, file, source, command
        self.path, self.body, self.environment, self.missing = path, body, environment or {}, missing
        self.in_place = in_place
        self.process = None
        self.times = []

    def start(self, folder):
        self.folder = folder
        self.port = free_port()
        self.log = open(folder / "log", "wb")
        (folder / self.file).parent.mkdir(parents=True, exist_ok=True)
        self.write("start")
        command = self.command(self.port, folder)
        self.process = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        env={**os.environ, **self.environment}, start_new_session=True)
        self.wait_for("start")

    def write(self, text):
        """As editors do, by a new file that takes the name; or into the file, for those that do not notice the former. Returns
        the moment before."""
        new = self.folder / "new-content"
        content = self.source(text)
        new.write_bytes(content if isinstance(content, bytes) else content.encode())
        begin = time.monotonic()
        if self.in_place:
            (self.folder / self.file).write_bytes(new.read_bytes())
        else:
            os.replace(new, self.folder / self.file)
        return begin

    def ask(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("POST", self.path, self.body, {"Content-Type": "application/json"})
            return connection.getresponse().read().decode(errors="replace")
        except OSError as error:  # it starts again
            return str(error)
        except http.client.HTTPException as error:
            return str(error)
        finally:
            connection.close()

    def wait_for(self, text):
        deadline = time.monotonic() + PATIENCE
        while f'"said":"{text}"' not in (answer := self.ask()).replace(" ", ""):
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} does not answer {text!r}: {answer[:300]}\n"
                                   + (self.folder / "log").read_text(errors="replace")[-2000:])
            time.sleep(PAUSE)
        return time.monotonic()

    def change(self, text):
        begin = self.write(text)
        self.times.append((self.wait_for(text) - begin) * 1e3)

    def stop(self):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.log.close()


class Deployed(Subject):
    """A server that runs, and `seam deploy` after each change: its own time is part of it."""

    def change(self, text):
        begin = self.write(text)
        subprocess.run([str(self.seam), "deploy", self.file, self.function, "--url", f"http://127.0.0.1:{self.port}"],
                       cwd=self.folder, check=True, stdout=self.log, stderr=self.log)
        self.times.append((self.wait_for(text) - begin) * 1e3)

    def wait_for(self, text):
        if text == "start":
            while "ok" not in (answer := self.ask_live()):
                if self.process.poll() is not None:
                    raise RuntimeError(f"seam serve ended: {answer}")
                time.sleep(PAUSE)
            return time.monotonic()
        return super().wait_for(text)

    def ask_live(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            connection.request("GET", "/readyz")
            return "ok" if connection.getresponse().status == 200 else "not ready"
        except OSError as error:
            return str(error)


class Folder(Subject):
    """A project that imports a part of what it depends on."""

    def start(self, folder):
        self.file = "project/index.js"
        for number in range(200):
            package = folder / f"project/node_modules/package{number}"
            package.mkdir(parents=True)
            for part in range(10):
                (package / f"part{part}.js").write_text(f"module.exports = {number * part};\n" + "// filler\n" * 100)
        super().start(folder)


def node(text):
    return f"module.exports = async (event) => ({{said: '{text}'}});\n"


def python(text):
    return f"def handle(params):\n    return {{'said': '{text}'}}\n"


def worker(text):
    return f"export default {{ async fetch(request) {{ return Response.json({{said: '{text}'}}); }} }};\n"


def framework_node(text):
    return f"exports.greet = (request, response) => response.json({{said: '{text}'}});\n"


def framework_python(text):
    return f"def greet(request):\n    return {{'said': '{text}'}}\n"


def every(seam):
    from seam_run import module  # which wants SEAM_BINARY

    languages = (("nodejs", "greet.js", node), ("python", "greet.py", python), ("wasm", "greet.wasm", module))
    for language, file, source in languages:
        yield Subject(f"seam run, {language}", file, source,
                      lambda port, folder, file=file: [str(seam), "run", file, "--port", str(port)],
                      f"/api/v1/functions/{language}-greet/invoke", '{"params":{}}')
    yield Folder("seam run, nodejs, a folder with 2,000 files in node_modules", "index.js", node,
                 lambda port, folder: [str(seam), "run", str(folder / "project"), "nodejs-greet", "--port", str(port)],
                 "/api/v1/functions/nodejs-greet/invoke", '{"params":{}}')
    wrangler = PEERS / "wrangler/node_modules/.bin/wrangler"
    yield Subject("wrangler dev (workerd)", "src/index.js", worker,
                  lambda port, folder: [str(wrangler), "dev", "src/index.js", "--name", "greet", "--local", "--ip", "127.0.0.1",
                                        "--port", str(port), "--inspector-port", str(free_port()),
                                        "--compatibility-date", "2024-09-23"],
                  environment={"WRANGLER_SEND_METRICS": "false", "CI": "1"},
                  missing=lambda: tool_missing("node") or ("" if wrangler.exists() else "wrangler is not installed"))
    framework = PEERS / "node/node_modules/.bin/functions-framework"
    yield Subject("functions-framework, Node, by node --watch", "index.js", framework_node,
                  lambda port, folder: ["node", "--watch", str(framework.resolve()), f"--port={port}", "--target=greet",
                                        f"--source={folder / 'index.js'}"],
                  missing=lambda: tool_missing("node") or ("" if framework.exists() else "functions-framework is not installed"), in_place=True)
    framework_py = PEERS / "python/bin/functions-framework"
    # Its --debug restarts at changes of what Python has imported, which the function's own file is not.
    watchmedo = framework_py.parent / "watchmedo"
    yield Subject("functions-framework, Python, by watchmedo", "main.py", framework_python,
                  lambda port, folder: [str(watchmedo), "auto-restart", f"--directory={folder}", "--patterns=*.py", "--",
                                        str(framework_py), f"--port={port}", "--host=127.0.0.1", "--target=greet",
                                        f"--source={folder / 'main.py'}"],
                  missing=lambda: "" if framework_py.exists() else "functions-framework is not installed", in_place=True)
    for language, file, source in languages:
        subject = Deployed(f"seam deploy, {language}", file, source,
                           lambda port, folder: [str(seam), "serve", "--port", str(port), "--data", str(folder / "data")],
                           f"/api/v1/functions/{language}-greet/invoke", '{"params":{}}')
        subject.seam, subject.function = seam, f"{language}-greet"
        yield subject


def install():
    for program, command in (
            (PEERS / "wrangler/node_modules/.bin/wrangler",
             ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(PEERS / "wrangler"), "wrangler@3"]),
            (PEERS / "node/node_modules/.bin/functions-framework",
             ["npm", "install", "--no-fund", "--no-audit", "--prefix", str(PEERS / "node"), "@google-cloud/functions-framework@5"]),
            (PEERS / "python/bin/python", [sys.executable, "-m", "venv", str(PEERS / "python")]),
            (PEERS / "python/bin/functions-framework",
             [str(PEERS / "python/bin/python"), "-m", "pip", "install", "-q", "functions-framework==3.*"])):
        if not program.exists() and (why := run(*command)):
            print(why, file=sys.stderr)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    memory = next(int(line.split()[1]) // 2**20 + 1 for line in open("/proc/meminfo") if line.startswith("MemTotal"))
    return f"{model}, {os.cpu_count()} cores, {memory} GiB, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--only", help="subjects whose name has this in it")
    parser.add_argument("--smoke", action="store_true", help="two rounds with what is installed")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench/reload.json")
    arguments = parser.parse_args()
    seam = (arguments.build / "seam").resolve()
    os.environ["SEAM_BINARY"] = str(seam)
    if arguments.smoke:
        arguments.rounds = 2
    else:
        install()
    subjects, skipped = [], []
    with tempfile.TemporaryDirectory(prefix="seam-reload-") as outer:
        os.chmod(outer, 0o755)
        try:
            for number, subject in enumerate(every(seam)):
                if arguments.only and arguments.only not in subject.name:
                    continue
                why = subject.missing()
                if why:
                    skipped.append((subject.name, why))
                    continue
                folder = pathlib.Path(outer, str(number))
                folder.mkdir()
                subjects.append(subject)
                subject.start(folder)
            for subject in list(subjects):  # to warm up, and to see that it reloads at all
                try:
                    subject.change("again")
                except RuntimeError:
                    if subject.name.startswith("seam"):
                        raise
                    subjects.remove(subject)
                    subject.stop()
                    skipped.append((subject.name, f"it did not notice a change within {PATIENCE} s"))
            for number in range(arguments.rounds):
                for subject in subjects:
                    subject.change(f"round{number}")
                    time.sleep(0.1)
            for subject in subjects:
                del subject.times[0]
        finally:
            for subject in subjects:
                subject.stop()
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True).stdout.strip()
    print(f"{machine()}; `./dev bench reload` at commit {commit}; {arguments.rounds} changes each, in turn\n")
    print("| subject | median ms | p90 ms | worst ms |\n|---|--:|--:|--:|")
    for subject in subjects:
        times = sorted(subject.times)
        print(f"| {subject.name} | {statistics.median(times):.0f} | {times[int(len(times) * 0.9)]:.0f} | {times[-1]:.0f} |")
    for name, why in skipped:
        print(f"\n`{name}` was skipped: {why}.")
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(json.dumps({"machine": machine(), "commit": commit, "command": sys.argv,
                                          "ms": {subject.name: subject.times for subject in subjects},
                                          "skipped": dict(skipped)}, indent=1))


if __name__ == "__main__":
    main()
