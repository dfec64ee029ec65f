"""Workers, zygotes, the spawner and the server are killed under load: what callers see, and what is left behind.

The default size is for every build; SEAM_E2E_FULL=1 kills 1,000 workers.
"""

import collections
import os
import pathlib
import random
import re
import signal
import sys
import tempfile
import threading
import time
import unittest

from seam_server import Server, children_of, wait_until

FULL = os.environ.get("SEAM_E2E_FULL") == "1"
KILLS = 1000 if FULL else 100
CLIENTS = 4
# The product's promise is 0.2 s; on a busy machine that builds at the same time it is only looked at.
GONE_SECONDS = 0.2 if FULL else 3.0
# Runs the server as another user, to see that nothing needs root: "65534".
USER = os.environ.get("SEAM_E2E_USER")
PREFIX = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"] if USER else []


def identity(pid):
    """Tells a process from a later one with the same number; None if it is gone or only waits to be reaped."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else (pid, fields[19])


def identities(pids):
    return {one for one in map(identity, pids) if one}


def age(pid):
    """Seconds since its start; 0 if it is gone."""
    known = identity(pid)
    return time.clock_gettime(time.CLOCK_BOOTTIME) - int(known[1]) / os.sysconf("SC_CLK_TCK") if known else 0


def waits_for_frames(pid):
    """Whether it is in read(3): a worker's place between two calls, and never before it is ready."""
    try:
        return pathlib.Path(f"/proc/{pid}/syscall").read_text().startswith("0 0x3 ")
    except OSError:  # gone; or hidden from us, where its age must do
        return age(pid) > 2 and os.geteuid() != 0


def direct_children(pid):
    found = []
    for child in children_of(pid):
        try:
            fields = pathlib.Path(f"/proc/{child}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(child)
    return found


def in_own_namespace(pid):
    """A worker is in a process namespace of its own; a zygote is not."""
    try:
        line = re.search(r"^NSpid:(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text(errors="replace"), re.M)
        here = re.search(r"^NSpid:(.*)$", pathlib.Path("/proc/self/status").read_text(), re.M)
    except OSError:
        return False
    return bool(line) and len(line[1].split()) > len(here[1].split())


def private_kibibytes(pid):
    """Memory that is the process's alone."""
    text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(r"^Private_(?:Clean|Dirty):\s+(\d+) kB", text, re.M))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def group_directories(server_pid):
    """The control groups of the server's workers, by hierarchy."""
    found = collections.defaultdict(set)
    for folder, folders, _ in os.walk("/sys/fs/cgroup"):
        if os.path.basename(folder) == f"seam-{server_pid}":
            found[folder] = set(folders)
            folders.clear()
    return found


class Processes:
    """What runs below a server."""

    def __init__(self, server):
        self.server = server.process.pid
        (self.spawner,) = direct_children(self.server)

    def below_spawner(self):
        return direct_children(self.spawner)

    def workers(self):
        return [pid for pid in self.below_spawner() if in_own_namespace(pid)]

    def zygotes(self):
        return [pid for pid in self.below_spawner() if not in_own_namespace(pid)]

    def zygote(self):
        """The one there is. A process between the two forks of a worker's start looks like another, but not for long."""
        found = None

        def alone():
            nonlocal found
            looks = []
            for _ in range(5):
                looks.append(identities(self.zygotes()))
                time.sleep(0.02)
            found = looks[0]
            return len(found) == 1 and all(look == found for look in looks)

        wait_until(alone, 20, "the zygote alone")
        return found.pop()[0]

    def settled_descriptors(self):
        """Of the server, less the three that each process of the spawner costs it: they come and go with need."""
        return descriptors(self.server) - 3 * len(self.below_spawner())


FUNCTIONS = {
    "nodejs-quick": "module.exports = async (event) => { await new Promise((done) => setTimeout(done, 2)); return event.params.n; };",
    "python-quick": "import time\ndef handle(params):\n    time.sleep(0.002)\n    return params['n']",
    # Something that goes on between calls, and must go with the worker.
    "python-threads": "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
                      "def handle(params):\n    time.sleep(0.002)\n    return params['n']",
}


class Load:
    """Clients that call until they are told to stop, and count what they get."""

    def __init__(self, server, may_be_refused=False):
        self.server = server
        self.may_be_refused = may_be_refused
        self.stop = threading.Event()
        self.answers = collections.Counter()
        self.odd = []
        self.slowest = 0.0
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(CLIENTS)]

    def run(self, seed):
        chance = random.Random(seed)
        connection = self.server.connection(timeout=60)
        n = 0
        try:
            while not self.stop.is_set():
                n += 1
                name = chance.choice(list(FUNCTIONS))
                begin = time.monotonic()
                status, body = self.server.call("POST", f"/api/v1/functions/{name}/invoke", {"params": {"n": n}}, connection=connection)
                self.slowest = max(self.slowest, time.monotonic() - begin)
                if status == 200 and body["result"] == n:
                    self.answers["result"] += 1
                elif status == 500 and body["error"]["code"] == "RUNTIME_ERROR" and body["error"]["details"].get("kind") == "worker_died":
                    self.answers["worker_died"] += 1
                elif self.may_be_refused and status == 503 and "worker" in body["error"]["message"]:
                    self.answers["refused"] += 1
                    time.sleep(0.02)  # its Retry-After, but for the test's haste
                else:
                    self.odd.append((name, status, body))
        except Exception as error:  # pylint: disable=broad-except
            self.odd.append((type(error).__name__, str(error)))
        connection.close()

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *unused):
        self.stop.set()
        for thread in self.threads:
            thread.join()


class WorkerKill(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="seam-kill-")
        self.addCleanup(self.folder.cleanup)
        os.chmod(self.folder.name, 0o755)
        data = os.path.join(self.folder.name, "data")
        os.mkdir(data, 0o700)
        if USER:
            os.chown(data, int(USER), int(USER))
        self.server = Server(data=data, prefix=PREFIX).start()
        self.addCleanup(self.end_server)
        self.processes = Processes(self.server)
        for name, content in FUNCTIONS.items():
            status, body = self.server.call("PUT", f"/api/v1/functions/{name}", {"content": content})
            self.assertEqual(status, 201, body)
        for name in FUNCTIONS:
            status, body = self.server.invoke(name, {"n": 1})
            self.assertEqual(status, 200, body)

    def end_server(self):
        if self.server.process is not None:
            self.server.stop(signal.SIGKILL)

    def wait_gone(self, before, begin, what):
        """Returns how long it took after `begin`."""
        while True:
            left = {one for one in before if identity(one[0]) == one}
            took = time.monotonic() - begin
            if not left:
                return took
            self.assertLess(took, GONE_SECONDS, f"{what}: {sorted(left)} are still there")
            time.sleep(0.002)

    def assert_no_groups(self, pid):
        wait_until(lambda: not group_directories(pid), 5, "the end of the control groups")

    def test_killed_workers(self):
        processes = self.processes
        with Load(self.server):  # warm, so that what follows is compared with a server that has worked
            time.sleep(2)
        wait_until(lambda: len(processes.workers()) >= 2)
        time.sleep(0.5)
        before = (processes.settled_descriptors(), private_kibibytes(processes.server), descriptors(processes.spawner),
                  private_kibibytes(processes.spawner))
        chance = random.Random(5)
        killed = set()
        begin = time.monotonic()
        with Load(self.server) as load:
            kills = 0
            ready = set()
            while kills < KILLS:
                time.sleep(chance.random() * 0.02)
                if load.odd:
                    break
                # One that is killed before it was ready is another test: no call had been given to it.
                living = identities(processes.workers())
                ready = (ready & living) | {one for one in living - ready if waits_for_frames(one[0])}
                workers = [pid for pid, _ in ready]
                if not workers:
                    continue
                victim = chance.choice(workers)
                relatives = identities([victim, *children_of(victim)])
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                killed |= relatives
                kills += 1
        seconds = time.monotonic() - begin
        self.assertEqual(load.odd, [])
        self.assertGreater(load.answers["result"], kills // 4)
        self.assertGreater(load.answers["worker_died"], 0)
        self.wait_gone(killed, time.monotonic(), "relatives of killed workers")
        # Calls are answered as if nothing had been, once the server has seen the last ends.
        for name in FUNCTIONS:
            wait_until(lambda: self.server.invoke(name, {"n": 7})[1].get("result") == 7, 10, f"an answer of {name}")
            for _ in range(20):
                status, body = self.server.invoke(name, {"n": 7})
                self.assertEqual((status, body.get("result")), (200, 7), body)
        groups = group_directories(processes.server)
        if groups:
            wait_until(lambda: all(len(folders) == len(processes.workers()) for folders in group_directories(processes.server).values()), 10,
                       "the end of dead workers' control groups")
        wait_until(lambda: processes.settled_descriptors() <= before[0] + 5, 10, "the end of dead workers' descriptors")
        wait_until(lambda: descriptors(processes.spawner) <= before[2] + 3 * len(processes.workers()) + 5, 10, "the spawner's descriptors")
        wait_until(lambda: private_kibibytes(processes.server) <= before[1] + (24 << 10), 10, "the end of dead workers' memory")
        self.assertLessEqual(private_kibibytes(processes.spawner), before[3] + (2 << 10))
        after = (processes.settled_descriptors(), private_kibibytes(processes.server), descriptors(processes.spawner),
                 private_kibibytes(processes.spawner))
        processes.zygote()  # nothing is being started any more
        below = identities(children_of(processes.server))
        self.assertEqual(self.server.stop(), 0)
        left = self.wait_gone(below, time.monotonic(), "after the stop")
        self.assert_no_groups(processes.server)
        print(f"\n  {kills} kills in {seconds:.1f} s; answers: {dict(load.answers)}, the slowest {load.slowest:.2f} s; "
              f"server: descriptors {before[0]} -> {after[0]}, memory {before[1]} -> {after[1]} KiB; "
              f"spawner: descriptors {before[2]} -> {after[2]}, memory {before[3]} -> {after[3]} KiB; "
              f"{len(below)} processes gone {left * 1000:.0f} ms after the stop", flush=True)

    def test_workers_killed_before_they_are_ready(self):
        """Calls that no worker could be started for may also be told to come again: they have not run."""
        chance = random.Random(6)
        with Load(self.server, may_be_refused=True) as load:
            for _ in range(KILLS // 2):
                time.sleep(chance.random() * 0.02)
                for victim in self.processes.workers():
                    if age(victim) < 0.4 or chance.random() < 0.1:
                        try:
                            os.kill(victim, signal.SIGKILL)
                        except ProcessLookupError:
                            pass
        self.assertEqual(load.odd, [])

        def answered(name):
            status, body = self.server.invoke(name, {"n": 7})
            self.assertIn((status, body.get("result")), [(200, 7), (503, None)], body)
            return status == 200

        for name in FUNCTIONS:  # once the last back-off is over
            wait_until(lambda name=name: answered(name), 30, name)
        print(f"\n  answers while young workers were killed: {dict(load.answers)}", flush=True)

    def test_a_killed_zygote_is_replaced(self):
        for i in range(20 if FULL else 4):
            zygote = self.processes.zygote()
            gone = identities([zygote])
            os.kill(zygote, signal.SIGKILL)
            # A new script needs a new worker, and that a new zygote.
            for name in ("python-quick", "nodejs-quick"):
                status, body = self.server.invoke(name, {"n": i})
                self.assertEqual((status, body.get("result")), (200, i), body)
            scripts = [self.server.run_script("python-fresh", f"result = {i * 100 + k}") for k in range(4)]
            self.assertEqual([(status, body.get("result")) for status, body in scripts], [(200, i * 100 + k) for k in range(4)], scripts)
            self.wait_gone(gone, time.monotonic(), "the killed zygote")
        status, body = self.server.call("GET", "/health")
        self.assertEqual((status, body["status"]), (200, "ok"), body)

    def test_a_killed_spawner_is_told(self):
        below = identities(self.processes.below_spawner())
        os.kill(self.processes.spawner, signal.SIGKILL)
        self.wait_gone(below, time.monotonic(), "workers of the killed spawner")
        for name in ("python-quick", "nodejs-quick"):
            status, body = self.server.invoke(name, {"n": 1})
            if status == 500 and body["error"]["code"] == "RUNTIME_ERROR":  # it went to a worker that had just ended
                status, body = self.server.invoke(name, {"n": 1})
            self.assertIn((status, body["error"]["code"]), [(500, "INTERNAL_ERROR"), (503, "UNAVAILABLE")], body)
        # What needs no worker goes on.
        status, body = self.server.invoke("wasm-text_stats", {"text": "one two"})
        self.assertEqual(status, 200, body)
        status, body = self.server.call("GET", "/health")
        self.assertEqual((status, body["status"]), (200, "degraded"), body)
        self.assertEqual((body["components"]["runtimes"]["nodejs"], body["components"]["runtimes"]["python"]), ("down", "down"), body)
        self.assertIn("spawner", str(body["details"]["runtimes"]["nodejs"]))
        pid = self.server.process.pid
        self.assertEqual(self.server.stop(), 0)
        self.assert_no_groups(pid)

    def test_a_killed_server_takes_all_with_it(self):
        slowest = 0.0
        for _ in range(10 if FULL else 2):
            with Load(self.server) as load:
                time.sleep(0.5)
                pid = self.server.process.pid
                below = identities(children_of(pid))
                self.assertGreater(len(below), 3)
                begin = time.monotonic()
                os.kill(pid, signal.SIGKILL)
                slowest = max(slowest, self.wait_gone(below, begin, "descendants of the killed server"))
            self.assertTrue(all(len(one) == 2 for one in load.odd), load.odd)  # lost connections only
            self.server.stop()
            self.assert_no_groups(pid)
            self.server.start()
            self.processes = Processes(self.server)
        print(f"\n  all descendants of a killed server gone after {slowest * 1000:.0f} ms at most", flush=True)


if __name__ == "__main__":
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
