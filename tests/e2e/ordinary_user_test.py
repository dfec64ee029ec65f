"""`seam serve` as an ordinary user, and where the machine cannot isolate workers at all."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from seam_server import SEAM, Server, children_of

NOBODY = 65534
GROUP = 65533  # another number than the user's, as those of system users are
SECRET = "kept-from-every-function"
# An own user namespace in which no further one can be made, as on a machine that forbids them.
NO_NAMESPACES = ["setpriv", f"--reuid={NOBODY}", f"--regid={GROUP}", "--clear-groups", "unshare", "--user", "--map-root-user", "sh", "-c",
                 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set=-all --inh-caps=-all "$@"', "sh"]

# What a function tries, and what it may get.
PYTHON_ATTEMPTS = {
    "os.listdir('/')": "PermissionError", "open('/etc/shadow').read()": "FileNotFoundError PermissionError", "os.listdir('/home')": "FileNotFoundError PermissionError",
    "open('/harness/worker.py', 'w')": "OSError", "open('/usr/x', 'w')": "OSError", "os.execv('/bin/sh', ['sh'])": "PermissionError FileNotFoundError",
    "os.fork()": "PermissionError", "__import__('socket').create_connection(('127.0.0.1', PORT), 1)": "PermissionError OSError ConnectionRefusedError",
    "os.kill(1 if os.getpid() != 1 else -1, 9)": "PermissionError ProcessLookupError", "os.setuid(0)": "PermissionError OSError", "os.chroot('/tmp')": "PermissionError",
    "os.mknod('/tmp/d', 0o60666, os.makedev(8, 0))": "PermissionError", "open('/proc/sys/kernel/core_pattern', 'w')": "OSError PermissionError FileNotFoundError",
    "os.listdir('/proc/1/root/')": "FileNotFoundError PermissionError", "os.listdir('/sys')": "FileNotFoundError PermissionError",
    "[e for e in open('/proc/1/environ').read().split('\\0') if 'SECRET' in e][0]": "IndexError FileNotFoundError PermissionError",
    "sorted(p for p in os.listdir('/proc') if p.isdigit())[2]": "IndexError FileNotFoundError PermissionError", "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))": "PermissionError",
    "ctypes_call('unshare', 0x10000000)": "OSError PermissionError", "ctypes_call('mount', b'none', b'/tmp', b'tmpfs', 0, None)": "OSError PermissionError",
    "ctypes_call('ptrace', 16, 1, None, None)": "OSError PermissionError",
}
PYTHON = """
import ctypes, os
PORT = params['port']
libc = ctypes.CDLL(None, use_errno=True)
def ctypes_call(name, *arguments):
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return 'done'
result = {}
for attempt in params['attempts']:
    try:
        result[attempt] = 'got ' + repr(eval(attempt))[:200]
    except Exception as e:
        result[attempt] = type(e).__name__
"""
NODE_ATTEMPTS = {
    "fs.readdirSync('/')": "EACCES", "fs.readFileSync('/etc/shadow')": "ENOENT EACCES", "fs.writeFileSync('/harness/worker.js', '')": "EROFS EACCES",
    "fs.writeFileSync('/usr/x', '')": "EROFS EACCES", "(() => { throw require('child_process').spawnSync('/bin/sh').error; })()": "EPERM EACCES ENOENT",
    "process.kill(process.ppid || -1, 9)": "EPERM ESRCH", "process.setuid(0)": "EPERM EINVAL ERR_UNKNOWN_CREDENTIAL",
    "fs.readdirSync('/proc/1/root/')": "EACCES ENOENT", "fs.chownSync('/tmp', 0, 0)": "EPERM EINVAL EACCES",
}
NODE = """const fs = require('fs'); const got = {};
for (const attempt of event.params.attempts) try { got[attempt] = 'got ' + eval(attempt); } catch (e) { got[attempt] = e.code || String(e); }
return got;"""


def as_ordinary_user():
    """The prefix of a command that runs it as one, and the folder for its data."""
    folder = tempfile.TemporaryDirectory(prefix="seam-user-")
    if os.geteuid() != 0:
        return [], folder
    os.chown(folder.name, NOBODY, NOBODY)
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={GROUP}", "--clear-groups"], folder


def namespaces_allowed(prefix):
    return subprocess.run([*prefix, "unshare", "--user", "true"], stderr=subprocess.DEVNULL).returncode == 0


class WithNamespaces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        prefix, cls.folder = as_ordinary_user()
        if not namespaces_allowed(prefix):
            cls.folder.cleanup()
            raise unittest.SkipTest("this machine gives an ordinary user no user namespaces")
        cls.server = Server(data=os.path.join(cls.folder.name, "data"), prefix=prefix, environment={"SEAM_TEST_SECRET": SECRET}).start()

    @classmethod
    def tearDownClass(cls):
        below = children_of(cls.server.process.pid)
        status = cls.server.stop()
        assert status == 0, f"exit status {status}"
        assert not [pid for pid in below if os.path.exists(f"/proc/{pid}")]
        cls.folder.cleanup()

    def test_it_is_an_ordinary_user_and_isolation_is_in_force(self):
        text = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text(encoding="utf-8")
        self.assertIn(f"CapEff:\t{0:016x}", text)
        self.assertNotIn("Uid:\t0\t", text)
        status, health = self.server.call("GET", "/health")
        self.assertEqual((status, health["status"]), (200, "ok"), health)
        isolation = health["details"]["isolation"]
        self.assertTrue(isolation["complete"], isolation)
        self.assertFalse(isolation["as_root"])
        layers = {layer["name"]: layer for layer in isolation["layers"]}
        for name in ("user namespace", "mount namespace", "pid namespace", "network namespace", "ipc namespace", "uts namespace", "own root", "seccomp", "rlimits"):
            self.assertTrue(layers[name]["in_force"], layers[name])
        for layer in layers.values():
            self.assertTrue(layer["detail"], layer)
        print("  missing as an ordinary user: " + (", ".join(name for name, layer in layers.items() if not layer["in_force"]) or "nothing"), flush=True)

    def test_the_three_examples(self):
        for _ in range(20):
            for name, params, result in (("nodejs-calculator", {"operation": "multiply", "a": 6, "b": 7}, {"result": 42}),
                                         ("python-text_processor", {"action": "uppercase", "text": "é"}, {"result": "É"})):
                status, body = self.server.invoke(name, params)
                self.assertEqual((status, body.get("result")), (200, result), body)
            status, body = self.server.invoke("wasm-text_stats", {"text": "one two"})
            self.assertEqual((status, body["result"]["words"]), (200, 2), body)

    def assert_refused(self, got, attempts):
        for attempt, allowed in attempts.items():
            with self.subTest(attempt):
                self.assertIn(got[attempt], allowed.split())

    def test_attempts_to_escape(self):
        status, body = self.server.run_script("python-escape", PYTHON, {"attempts": list(PYTHON_ATTEMPTS), "port": self.server.port})
        self.assertEqual(status, 200, body)
        self.assertNotIn(SECRET, str(body))
        self.assert_refused(body["result"], PYTHON_ATTEMPTS)
        status, body = self.server.run_script("nodejs-escape", NODE, {"attempts": list(NODE_ATTEMPTS)})
        self.assertEqual(status, 200, body)
        self.assert_refused(body["result"], NODE_ATTEMPTS)

    def test_limits(self):
        for name, script, kind in (("python-memory", "all = []\nwhile True: all.append(b'1' * (1 << 20))", "memory_exceeded"),
                                   ("nodejs-memory", "const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1));", "memory_exceeded"),
                                   ("python-exit", "import os\nos._exit(1)", "worker_died"), ("nodejs-exit", "process.exit(1)", "worker_died")):
            with self.subTest(name):
                status, body = self.server.run_script(name, script)
                self.assertEqual(status, 500, body)
                self.assertEqual((body["error"]["code"], body["error"]["details"]["kind"]), ("RUNTIME_ERROR", kind), body)
        for name, script in (("python-loop", "while True: pass"), ("nodejs-loop", "for (;;);")):
            status, body = self.server.run_script(name, script, context={"timeout_ms": 500})
            self.assertEqual((status, body["error"]["code"]), (504, "TIMEOUT"), body)
        self.test_the_three_examples()


class WithFewThreads(unittest.TestCase):
    @unittest.skipIf(os.geteuid() != 0, "only root can become a user that has no other processes")
    def test_a_thread_that_cannot_be_had_is_said_and_ends_in_order(self):
        alone = ["setpriv", "--reuid=64321", f"--regid={GROUP}", "--clear-groups"]
        with tempfile.TemporaryDirectory(prefix="seam-user-") as folder:
            os.chown(folder, 64321, GROUP)
            for processes in (3, 4, 5, 6, 7, 8, 9, 10):
                with self.subTest(processes=processes):
                    done = subprocess.run([*alone, "prlimit", f"--nproc={processes}", str(SEAM), "serve", "--port", "0", "--isolation", "off", "--threads", "8",
                                           "--data", os.path.join(folder, str(processes))], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60,
                                          env={"PATH": os.environ["PATH"]})
                    self.assertEqual(done.returncode, 1, done.stderr)
                    self.assertRegex(done.stderr, "no thread can be started: .*ulimit -u")


class WithoutNamespaces(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0:
            self.prefix = NO_NAMESPACES[4:]
        else:
            self.prefix = NO_NAMESPACES
        _, self.folder = as_ordinary_user()
        self.addCleanup(self.folder.cleanup)
        probe = subprocess.run([*self.prefix, "sh", "-c", "! unshare --user true 2>/dev/null"], stderr=subprocess.PIPE, text=True)
        if probe.returncode != 0:
            self.skipTest(f"a machine without namespaces cannot be had here: {probe.stderr}")
        self.data = os.path.join(self.folder.name, "data")

    def test_it_refuses_to_start_and_says_what_to_do(self):
        done = subprocess.run([*self.prefix, str(SEAM), "serve", "--port", "0", "--data", self.data], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60, env={"PATH": os.environ["PATH"]})
        print("  " + done.stderr.strip().replace("\n", "\n  "), flush=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(done.stdout, "")
        for words in ("user namespace", "max_user_namespaces", "start as root", "--isolation off"):
            self.assertIn(words, done.stderr)

    def test_without_isolation_it_starts_and_warns(self):
        with Server(data=self.data, arguments=["--isolation", "off"], prefix=self.prefix) as server:
            status, health = server.call("GET", "/health")
            isolation = health["details"]["isolation"]
            self.assertEqual(status, 200)
            self.assertFalse(isolation["complete"], isolation)
            self.assertEqual(server.invoke("nodejs-calculator", {"operation": "add", "a": 1, "b": 2})[0], 200)
            self.assertEqual(server.invoke("python-text_processor", {"action": "count_words", "text": "a b"})[0], 200)
            self.assertEqual(server.invoke("wasm-text_stats", {"text": "a b"})[0], 200)
            log = server.log_text()
            print("  " + log.strip().replace("\n", "\n  "), flush=True)
            self.assertRegex(log, r"(?i)warn")
            self.assertRegex(log, r"(?i)isolation")


if __name__ == "__main__":
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        sys.exit("unshare and setpriv of util-linux are needed")
    unittest.main(verbosity=2, argv=[sys.argv[0], *sys.argv[1:]])
