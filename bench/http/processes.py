"""Starting a server on one core, asking it, and reading what its whole tree of processes costs."""
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS_MAX = 60


def pin(core):
    return ["taskset", "-c", str(core)]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def tree(root):
    """The process `root` and all that descend from it, as {pid: fields of /proc/<pid>/stat after the name}."""
    stats = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stats[int(entry)] = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                pass  # it ended while we looked
    found, added = {root}, True
    while added:
        more = {pid for pid, fields in stats.items() if int(fields[1]) in found} - found
        found, added = found | more, bool(more)
    return {pid: stats[pid] for pid in found if pid in stats}


class Server:
    """A running subject: `with Server(subject, core, scratch) as server`. `client_core` is where wrk runs."""

    def __init__(self, subject, core, scratch, client_core=None):
        self.client_core = client_core
        self.port, self.subject = free_port(), subject
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=scratch))
        self.log = open(self.folder / "output.log", "w+")
        begin = time.monotonic()
        self.process = subprocess.Popen([*pin(core), *subject.command(self.port, self.folder)], cwd=self.folder,
                                        env={**os.environ, **subject.environment}, start_new_session=True,
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self.await_answer(begin)
        except BaseException:
            self.__exit__()
            raise
        self.cold_start_seconds = time.monotonic() - begin

    def await_answer(self, begin):
        probe = self.subject.probe
        while True:
            try:
                if self.ask(probe.method, probe.path, probe.body)[0] == 200:
                    return
            except OSError:
                pass  # not listening yet
            except http.client.HTTPException:
                pass  # listening, not serving yet
            if self.process.poll() is not None or time.monotonic() - begin > START_SECONDS_MAX:
                self.log.seek(0)
                raise RuntimeError(f"{self.subject.name} did not start: {self.log.read()[-2000:]}")
            time.sleep(0.001)

    def ask(self, method, path, body, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=START_SECONDS_MAX)
        try:
            connection.request(method, path, body or None, {"Content-Type": "application/json", **(headers or {})})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def threads(self):
        """The process's threads, as {thread id: name}."""
        return {int(task.name): (task / "comm").read_text().strip()
                for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()}

    def move_threads(self, names, core):
        """Pins the process's threads of these names to another core than the rest."""
        found = {thread: name for thread, name in self.threads().items() if name in names}
        if set(found.values()) != set(names):
            raise RuntimeError(f"{self.subject.name} has no thread of one of these names: {names}")
        for thread in found:
            os.sched_setaffinity(thread, {core})

    def cpu_seconds(self):
        """User and system time of the tree, with that of children that have ended and were waited for."""
        ticks = sum(sum(int(field) for field in fields[11:15]) for fields in tree(self.process.pid).values())
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self):
        """Proportional set size: a page that n processes share counts 1/n in each."""
        total = 0
        for pid in tree(self.process.pid):
            try:
                for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass
        return total

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
