// What a start costs, in wall time and in CPU of the spawner and the worker together ("cpu_ms",
// which holds the probe and the zygote's own start too: compare by large numbers of iterations).
#include <benchmark/benchmark.h>
#include <sys/resource.h>

#include <filesystem>
#include <optional>

#include "process/spawner_fixture.h"

namespace seam::process {
namespace {

double cpu_ms_of_children() {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto ms = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_usec) / 1e3;
  };
  return ms(usage.ru_utime) + ms(usage.ru_stime);
}

WorkerSpec nothing() {
  WorkerSpec spec;
  spec.name = "true";
  spec.argv = {"/usr/bin/true"};
  return spec;
}

void spawn_and_reap(benchmark::State& state, Isolation isolation) {
  const double before = cpu_ms_of_children();
  {
    TestSpawner host({.isolation = isolation, .cgroup_name = {}});
    for (auto _ : state) host.exit_of(nothing());
  }
  state.counters["cpu_ms"] =
      (cpu_ms_of_children() - before) / static_cast<double>(state.iterations());
}
BENCHMARK_CAPTURE(spawn_and_reap, isolated, Isolation::kRequired)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(spawn_and_reap, plain, Isolation::kOff)->Unit(benchmark::kMillisecond);

void fork_from_zygote(benchmark::State& state) {
  const double before = cpu_ms_of_children();
  {
    TestSpawner host;
    const TestFolder folder;
    std::filesystem::copy(SEAM_ZYGOTE_LIBRARY, folder.path() + "/libseam_zygote.so");
    std::filesystem::copy(SEAM_ZYGOTE_SCRIPT, folder.path() + "/zygote.py");
    folder.write("worker.py", "def serve(fd): pass\n");
    WorkerSpec spec;
    spec.name = "python";
    spec.argv = {"/usr/bin/python3", "-I", "-B", "/harness/zygote.py"};
    spec.binds = {{folder.path(), "/harness"}};
    const Result<SpawnedWorker> zygote = host.run(host.spawner.start_zygote(spec));
    CHECK(zygote.has_value());
    for (auto _ : state) {
      const Result<SpawnedWorker> worker = host.run(host.spawner.fork_worker(zygote->id));
      CHECK(worker.has_value());
      wait_for_end(*worker);
      host.run(host.spawner.reap(worker->id));
    }
  }
  state.counters["cpu_ms"] =
      (cpu_ms_of_children() - before) / static_cast<double>(state.iterations());
}
BENCHMARK(fork_from_zygote)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace seam::process
