"""Every WebAssembly engine in one server under load, as tests/endurance/together_test.cc has them in one process.

Two clients an engine call at once, and mix good calls, traps and deadlines, of functions and of sessions. Goal: no engine
harms another's guests, nor its own later ones. Method: what every call must answer is computed here, and each call has a
result of its own. The default size is for every build; SEAM_E2E_FULL=1 makes ten times as many calls.
"""

import collections
import contextlib
import json
import os
import pathlib
import random
import re
import sqlite3
import tempfile
import threading
import unittest

import engines_test
from seam_server import Server, wait_until

FULL = os.environ.get("SEAM_E2E_FULL") == "1"
CALLS = 5000 if FULL else 500  # of each client

SOURCE = r"""
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char result[256];
static uint32_t table[64];
static uint32_t calls;
static volatile uint32_t depth;

static uint32_t next(uint32_t* x) { return *x = *x * 1664525u + 1013904223u; }

__attribute__((noinline)) static uint32_t recurse(uint32_t n) {
  depth = n;
  return recurse(n + 1) + depth;
}

__attribute__((export_name("alloc"))) void* allocate(uint32_t size) { return malloc(size + 1); }

__attribute__((export_name("handle"))) uint64_t handle(char* params, uint32_t size) {
  params[size] = 0;
  if (strstr(params, "\"spin\"")) for (volatile int i = 0;; ++i) {}
  if (strstr(params, "\"unreachable\"")) __builtin_trap();
  if (strstr(params, "\"outside\"")) *(volatile char*)0xfffffff0u = 1;
  if (strstr(params, "\"deep\"")) recurse(0);
  const uint32_t seed = strtoul(strstr(params, "\"seed\":") + 7, 0, 10);
  uint32_t x = seed, sum = 0;
  double real = 0;
  for (int i = 0; i < 64; ++i) table[i] = next(&x);
  for (uint32_t left = seed % 500; left > 0; --left) {
    uint32_t* at = &table[next(&x) >> 26];
    *at = (*at << 7 | *at >> 25) ^ x;
    sum += *at;
    real = real * 0.75 + x / 3.0;
  }
  fprintf(stderr, "seed %u", seed);
  const int length = snprintf(result, sizeof result, "{\"calls\":%u,\"sum\":%u,\"real\":%.17g}", ++calls, sum, real);
  return (uint64_t)(uintptr_t)result << 32 | (uint32_t)length;
}
"""

TRAPS = {"unreachable": "Trap:Unreachable", "outside": "Trap:MemoryOutOfBounds", "deep": "Trap:StackOverflow"}


def right(seed):
    """What `handle` computes."""
    x, total, real, table = seed, 0, 0.0, []

    def following(number):
        return (number * 1664525 + 1013904223) & 0xFFFFFFFF

    for _ in range(64):
        x = following(x)
        table.append(x)
    for _ in range(seed % 500):
        x = following(x)
        at = x >> 26
        table[at] = ((table[at] << 7 | table[at] >> 25) & 0xFFFFFFFF) ^ x
        total = (total + table[at]) & 0xFFFFFFFF
        real = real * 0.75 + x / 3.0
    return {"calls": 1, "sum": total, "real": real}  # each call has a fresh instance


class Client(threading.Thread):
    """Calls one engine, by its function and by sessions, and compares each answer."""

    SHORT, LONG = 60, 60_000  # milliseconds

    def __init__(self, server, engine, script, seed):
        super().__init__()
        self.server = server
        self.engine = engine
        self.name_called = f"wasm-on_{engine}"
        self.script = script
        self.random = random.Random(seed)
        self.first_seed = seed * 1_000_000
        self.sessions = {}  # by their timeout
        self.answered = {}  # the status of each call, by its seed
        self.counts = collections.Counter()
        self.failure = None

    def run(self):
        try:
            self.sessions = {timeout: self.session(timeout) for timeout in (self.LONG, self.SHORT)}
            with contextlib.closing(self.server.connection()) as connection:
                for seed in range(self.first_seed, self.first_seed + CALLS):
                    self.one(connection, seed, *self.what_to_do())
        except Exception as error:  # pylint: disable=broad-except
            self.failure = f"{self.name_called}: {type(error).__name__}: {error}"

    def session(self, timeout):
        context = {"compile_options": {"engine": self.engine}, "timeout_ms": timeout}
        status, session = self.server.initialize(self.name_called, self.script, context)
        assert status == 200, session
        return session["request_id"]

    def what_to_do(self, spins=0.03):
        chance = self.random.random()
        do = "spin" if chance < spins else self.random.choice(list(TRAPS)) if chance < 0.2 else "compute"
        return do, self.random.random() < 0.3

    def one(self, connection, seed, do, by_session):
        timeout = self.SHORT if do == "spin" else self.LONG
        body = {"params": {"do": do, "seed": seed}}
        if by_session:
            path = f"/api/v1/execute/{self.sessions[timeout]}"
        else:
            path = f"/api/v1/functions/{self.name_called}/invoke"
            body["context"] = {"timeout_ms": timeout}
        status, answer = self.server.call("POST", path, body, connection=connection)
        self.counts[do] += 1
        self.answered[seed] = status
        error = answer.get("error", {"code": None})
        if do == "compute":
            assert (status, answer.get("result")) == (200, right(seed)), (body, status, answer)
        elif do == "spin":
            assert (status, error["code"]) == (504, "TIMEOUT"), (body, status, answer)
        else:
            assert (status, error["code"]) == (500, "RUNTIME_ERROR"), (body, status, answer)
            assert error["details"]["type"] == TRAPS[do], (body, answer)


class Together(engines_test.Guest):
    source = SOURCE

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="seam-engines-")
        self.addCleanup(folder.cleanup)
        self.data = pathlib.Path(folder.name) / "data"

    def processes(self, server):
        """How many processes of engines were started, and how many are there, once none starts or ends."""
        def counts():
            text = server.request("GET", "/metrics?family=seam_workers,seam_workers_started_total,seam_worker_start_failures_total")[2].decode()
            return {what: int(number) for what, number in re.findall(r'^seam_(\w+\{runtime="wasm".*\}) (\d+)$', text, re.MULTILINE)}

        wait_until(lambda: counts()['workers{runtime="wasm",state="changing"}'] == 0, 60, "an end of the starts")
        found = counts()
        self.assertEqual(found.pop('worker_start_failures_total{runtime="wasm"}'), 0)
        return found.pop('workers_started_total{runtime="wasm"}'), sum(found.values())

    def calls_leave_processes_alone(self, server, client):
        """Neither results nor traps end a process: one that is there goes on. (Under load a deadline may end one, since it is noticed too late.)"""
        first = client.first_seed + CALLS
        with contextlib.closing(server.connection()) as connection:
            for by_session in (False, True):  # the connection's thread may have had no process yet
                client.one(connection, first + by_session, "compute", by_session)
            before = self.processes(server)
            for seed in range(first + 2, first + CALLS // 5):
                client.one(connection, seed, *client.what_to_do(spins=0))
            self.assertEqual(self.processes(server), before)

    def check_records(self, answered):
        """Each call has one record, which tells of it what its client was told."""
        with contextlib.closing(sqlite3.connect(self.data / "seam.db")) as database:
            rows = database.execute("SELECT request_payload, language_title, status_code, response_payload, logs FROM request_logs").fetchall()
        recorded = [(json.loads(params)["seed"], name, status) for params, name, status, _, _ in rows]
        self.assertEqual(sorted(recorded), sorted((seed, *what) for seed, what in answered.items()))
        for (seed, _, status), (_, _, _, result, logs) in zip(recorded, rows):
            if status == 200:
                self.assertEqual((json.loads(result), logs), (right(seed), f"seed {seed}"))

    def test_every_engine_gives_right_answers_throughout(self):
        # No process may end for being idle.
        arguments = ["--runtimes-defaults-idle-seconds", "86400"]
        with Server(data=str(self.data), arguments=arguments) as server:
            for engine in self.there:
                self.assertEqual(self.put(server, f"wasm-on_{engine}", engine=engine)[0], 201)
            clients = [Client(server, engine, script, seed) for seed, (engine, script) in
                       enumerate((engine, script) for engine in self.there for script in (None, self.content))]
            for client in clients:
                client.start()
            for client in clients:
                client.join()
            self.assertEqual([client.failure for client in clients if client.failure], [])
            counts = sum((client.counts for client in clients), collections.Counter())
            for do in ("compute", "spin", *TRAPS):
                self.assertGreater(counts[do], 0, do)
            health = server.call("GET", "/health")[1]
            self.assertEqual((health["status"], health["components"]["runtimes"]["wasm"]), ("ok", "up"), health)
            for engine in self.there:
                self.assertIn(engine, health["details"]["runtimes"]["wasm"])
            for client in clients[::2]:
                self.calls_leave_processes_alone(server, client)
            started = self.processes(server)[0]
            status = server.stop()
        self.assertEqual(status, 0)
        self.check_records({seed: (client.name_called, status) for client in clients for seed, status in client.answered.items()})
        print(f"\n  {dict(counts)} on {', '.join(self.there)}; {started} processes", flush=True)


if __name__ == "__main__":
    unittest.main()
