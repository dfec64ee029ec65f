"""How much of a core a call costs in Seam, beside other hosts of functions.

http_bench.py [--smoke] [--only NAME] [--rounds N] [--seconds S]

Each server runs alone, pinned to one core, and answers the same JSON calculator by POST; wrk with 32 connections runs on
another core. Rounds are interleaved, so that a slow minute of the machine falls on everyone, and each figure is the median
of the rounds. Each subject's answer is checked before it is measured; an answer other than 2xx during a run ends the benchmark.
Prints a Markdown table; writes everything to build/bench/http.json. Peers that are missing are installed under
build/bench/peers, never with --smoke, which only shows that the benchmark works: one short round of what is there.
Exits with 77, which means skipped, where wrk is missing.
"""
import argparse
import datetime
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

import processes
import subjects

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SKIPPED = 77

WRK_SCRIPT = """
wrk.method = %s
wrk.body = %s
wrk.headers["Content-Type"] = "application/json"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("\\n@@ {\\"requests\\": %%d, \\"duration_us\\": %%d, \\"p50_us\\": %%d, \\"p99_us\\": %%d, " ..
    "\\"not_2xx\\": %%d, \\"socket_errors\\": %%d}\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), e.status, e.connect + e.read + e.write + e.timeout))
end
"""


def measure(server, request, seconds, core, scratch):
    """One run of wrk against one path of a running server."""
    script = scratch / "wrk.lua"
    script.write_text(WRK_SCRIPT % (json.dumps(request.method), json.dumps(request.body)))
    before = server.cpu_seconds()
    run = subprocess.run([*processes.pin(core), "wrk", "-t1", "-c32", f"-d{max(1, round(seconds))}s", "-s", str(script),
                          f"http://127.0.0.1:{server.port}{request.path}"], capture_output=True, text=True)
    cpu = server.cpu_seconds() - before
    if run.returncode or "@@ " not in run.stdout:
        raise RuntimeError(f"wrk failed against {request.name}: {run.stdout}{run.stderr}")
    counts = json.loads(run.stdout.split("@@ ")[1])
    if counts["not_2xx"] or counts["socket_errors"] or not counts["requests"]:
        raise RuntimeError(f"{request.name}: of {counts['requests']} answers {counts['not_2xx']} were not 2xx, "
                           f"{counts['socket_errors']} were lost")
    return {
        "requests_per_second": counts["requests"] / counts["duration_us"] * 1e6,
        "p50_us": counts["p50_us"],
        "p99_us": counts["p99_us"],
        "cpu_us_per_request": cpu * 1e6 / counts["requests"],
        "memory_mib": server.memory_bytes() / 2**20,
    }


def one_round(subject, seconds, cores, scratch):
    """Starts a subject, checks and measures each of its requests, and stops it. Yields (request name, figures)."""
    with processes.Server(subject, cores[0], scratch, cores[1]) as server:
        for request in subject.requests(server):
            cold, cold_cpu = request.prepare(server) if request.prepare else (server.cold_start_seconds, None)
            status, answer = server.ask(request.method, request.path, request.body)
            if status // 100 != 2 or not request.right(answer):
                raise RuntimeError(f"{request.name} answered {status} {answer[:300]!r}")
            if seconds > 1:
                measure(server, request, 1, cores[1], scratch)  # warms up
            figures = measure(server, request, seconds, cores[1], scratch)
            figures["cold_start_ms"] = cold * 1e3
            if cold_cpu is not None:
                figures["cold_start_cpu_ms"] = cold_cpu * 1e3
            yield request.name, figures


def table(results, skipped):
    nginx = next((r["requests_per_second"] for name, r in results.items() if name.startswith("nginx")), None)
    lines = ["| subject | requests/s | share of nginx | p50 µs | p99 µs | CPU µs per request | memory MiB | cold start ms | of it CPU |",
             "|---|--:|--:|--:|--:|--:|--:|--:|--:|"]
    for name, r in results.items():
        share = f"{r['requests_per_second'] / nginx:.3f}" if nginx else "–"
        cold_cpu = f"{r['cold_start_cpu_ms']:.1f}" if "cold_start_cpu_ms" in r else "–"
        lines.append(f"| {name} | {r['requests_per_second']:,.0f} | {share} | {r['p50_us']:,.0f} | {r['p99_us']:,.0f} "
                     f"| {r['cpu_us_per_request']:.1f} | {r['memory_mib']:.1f} | {r['cold_start_ms']:.1f} | {cold_cpu} |")
    return "\n".join([*lines, "", *(f"skipped: {name}: {why}" for name, why in skipped.items())])


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "unknown CPU")
    memory = int(open("/proc/meminfo").readline().split()[1]) / 2**20
    return f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB, Linux {os.uname().release}"


def commit():
    run = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True)
    return run.stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--smoke", action="store_true", help="one short round of what is installed")
    parser.add_argument("--only", default="", help="only subjects whose name holds this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--json", type=pathlib.Path, default=ROOT / "build/bench/http.json")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.seconds = 1, 1
    if not shutil.which("wrk"):
        print("skipped: wrk is not installed")
        return SKIPPED
    available = sorted(os.sched_getaffinity(0))
    cores = (available[0], available[-1])

    chosen, skipped = [], {}
    for subject in subjects.every(ROOT, options.build):
        if options.only not in subject.name:
            continue
        why = subject.missing()
        if why and subject.install and not options.smoke:
            print(f"installing {subject.name} …", file=sys.stderr, flush=True)
            why = subject.install() or subject.missing()
        if why:
            skipped[subject.name] = why
        else:
            chosen.append(subject)

    samples = {}
    with tempfile.TemporaryDirectory(prefix="seam-bench-") as scratch:
        for number in range(options.rounds):
            for subject in chosen:
                print(f"round {number + 1} of {options.rounds}: {subject.name}", file=sys.stderr, flush=True)
                for name, figures in one_round(subject, options.seconds, cores, pathlib.Path(scratch)):
                    samples.setdefault(name, []).append(figures)
    results = {name: {key: statistics.median(r[key] for r in rounds) for key in rounds[0]} for name, rounds in samples.items()}

    command = " ".join(["./dev bench http", *sys.argv[1:]])
    print(f"{machine()}; `{command}` at commit {commit()}\n\n{table(results, skipped)}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({
        "machine": machine(), "command": command, "commit": commit(), "cores": cores,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "results": results, "rounds": samples, "skipped": skipped}, indent=1) + "\n")
    return 0 if results else SKIPPED


if __name__ == "__main__":
    sys.exit(main())
