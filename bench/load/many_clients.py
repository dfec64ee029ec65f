"""What many clients that want nothing, or want it slowly, cost a server, and whether calls are answered meanwhile.

    python3 bench/load/many_clients.py                # ./dev bench load
    python3 bench/load/many_clients.py --smoke

10,000 connections that have been answered once and idle; then slowhttptest with 1,000 clients that send their head slowly, their body
slowly, or read slowly. Beside each, one client calls a function on and on. Memory is the resident set of the server's process, its
highest; latency is that of the same calls without the crowd, in the same run.
"""
import argparse
import json
import os
import pathlib
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests" / "e2e"))
from seam_server import SEAM, Server  # noqa: E402

MEMORY_BYTES_MAX = 100_000_000
CALL = "/api/v1/functions/nodejs-calculator/invoke"
REQUEST = b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


class Caller(threading.Thread):
    """Calls a function on and on over one connection, and looks at the server's memory."""

    def __init__(self, server):
        super().__init__()
        self.server, self.done = server, threading.Event()
        self.seconds, self.failed, self.memory = [], [], 0

    def run(self):
        connection = self.server.connection(30)
        status = pathlib.Path(f"/proc/{self.server.process.pid}/status")
        while not self.done.is_set():
            begin = time.perf_counter()
            try:
                code, body = self.server.call("POST", CALL, {"params": {"operation": "add", "a": 1, "b": 2}}, connection=connection)
                if code != 200 or body["result"] != {"result": 3}:
                    self.failed.append(f"{code} {body}")
            except Exception as error:
                self.failed.append(f"{type(error).__name__}: {error}")
                connection.close()
            self.seconds.append(time.perf_counter() - begin)
            self.memory = max(self.memory, int(re.search(r"VmRSS:\s+(\d+)", status.read_text())[1]) * 1024)
            time.sleep(0.005)
        connection.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()

    def row(self, what, more):
        cuts = statistics.quantiles(self.seconds, n=100)
        return (what, f"{self.memory / 1e6:.1f}", f"{len(self.seconds):,}", str(len(self.failed)), f"{cuts[49] * 1000:.2f}",
                f"{cuts[98] * 1000:.2f}", more)


def open_idle(port, count):
    """Connections that have got one answer each."""
    held = []
    for _ in range(count):
        one = socket.create_connection(("127.0.0.1", port))
        one.sendall(REQUEST)
        held.append(one)
    for one in held:
        if not one.recv(4096).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("an idle connection was not answered")
    return held


def still_open(held):
    """How many of them answer once more."""
    for one in held:
        one.sendall(REQUEST)
    return sum(one.recv(4096).startswith(b"HTTP/1.1 200") for one in held)


def attack(server, arguments, clients, seconds):
    """slowhttptest's own last word on how many clients it had connected."""
    run = subprocess.run(["slowhttptest", "-c", str(clients), "-r", str(max(clients // 5, 50)), "-l", str(seconds), "-p", "5", "-v", "1", *arguments],
                         capture_output=True, text=True, env={**os.environ, "TERM": "dumb"})
    text = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", run.stdout)
    available = re.findall(r"service available:\s*(\w+)", text)
    ended = re.findall(r"Exit status:\s*(.+)", text)
    if not available:
        raise RuntimeError(f"slowhttptest: {run.returncode} {run.stdout[-500:]} {run.stderr[-500:]}")
    return f"service available: {'always' if set(available) == {'YES'} else 'NOT always'}; {ended[-1].strip() if ended else ''}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="few clients, seconds")
    options = parser.parse_args()
    if not shutil.which("slowhttptest"):
        print("slowhttptest is not installed (Debian: apt-get install slowhttptest)")
        return 77
    idle, slow, seconds = (200, 50, 4) if options.smoke else (10_000, 1_000, 25)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard < idle + 1000:
        raise SystemExit(f"needs {idle + 1000} open files, the limit is {hard}: ulimit -Hn")
    callers, rows = [], []
    with tempfile.TemporaryDirectory(prefix="seam-load-") as folder:
        os.chmod(folder, 0o755)
        with Server(data=f"{folder}/data") as server:
            server.call("PUT", "/api/v1/functions/nodejs-large", {"content": "return 'x'.repeat(1 << 20);", "cacheable": True})
            server.invoke("nodejs-large")
            url = f"http://127.0.0.1:{server.port}"

            def beside(what, work):
                with Caller(server) as caller:
                    more = work()
                callers.append(caller)
                rows.append(caller.row(what, more))

            def idling():
                held = open_idle(server.port, idle)
                time.sleep(seconds / 2)
                answered = still_open(held)
                for one in held:
                    one.close()
                return f"{answered:,} of them answered again"

            beside("nobody else", lambda: time.sleep(seconds / 2) or "")
            beside(f"{idle:,} idle connections", idling)
            for what, arguments in ((f"{slow:,} slow heads", ["-H", "-i", "2", "-u", url + CALL]),
                                    (f"{slow:,} slow bodies", ["-B", "-i", "2", "-s", "8192", "-f", "application/json", "-u", url + CALL]),
                                    (f"{slow:,} slow readers", ["-X", "-k", "3", "-w", "512", "-y", "1024", "-n", "2", "-z", "32",
                                                                "-u", url + "/openapi.json"])):
                beside(what, lambda arguments=arguments: attack(server, arguments, slow, seconds))
            beside("nobody else, after", lambda: time.sleep(seconds / 2) or "")
    commit = json.loads(subprocess.run([SEAM, "version", "--json"], capture_output=True, text=True).stdout)["commit"]
    print(f"commit {commit[:12]}\n")
    rows.insert(0, ("beside", "memory MB", "calls", "failed", "p50 ms", "p99 ms", ""))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())
    failed = [text for caller in callers for text in caller.failed]
    for text in failed[:10]:
        print("  " + text)
    over = max(caller.memory for caller in callers) > MEMORY_BYTES_MAX
    unavailable = any("NOT always" in row[-1] for row in rows)
    if failed or over or unavailable:
        print("Found: " + ", ".join(what for what, is_so in (("calls that failed", failed), ("memory over 100 MB", over),
                                                             ("slowhttptest found no service", unavailable)) if is_so))
        return 1
    print("Every call was answered, memory stayed below 100 MB.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
