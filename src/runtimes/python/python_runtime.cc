#include "runtimes/python/python_runtime.h"

#include <array>
#include <string_view>

#include "runtimes/harness_files.h"
#include "runtimes/worker_pool.h"

namespace seam::embedded {
std::string_view python_failures();
std::string_view python_frames();
std::string_view python_json_values();
std::string_view python_loading();
std::string_view python_log();
std::string_view python_worker();
std::string_view python_zygote();
std::string_view zygote_library();
}  // namespace seam::embedded

namespace seam::runtimes {

namespace {

bool is_memory_failure(const FunctionError& error) {
  return error.kind == FunctionError::Kind::kThrew && error.type == "MemoryError";
}

// What the interpreter and libc write before they give up.
bool is_memory_end(std::string_view tail) {
  constexpr std::array<std::string_view, 3> kSigns = {"MemoryError", "std::bad_alloc",
                                                      "Cannot allocate memory"};
  for (const std::string_view sign : kSigns) {
    if (tail.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

constexpr std::string_view kInstallRemedy =
    "install Python 3.11 or newer (Debian: apt-get install python3) or name it in "
    "runtimes.python.command";

}  // namespace

Result<std::unique_ptr<Runtime>> create_python_runtime(PythonOptions options,
                                                       process::Spawner& spawner,
                                                       std::span<EventLoop* const> loops) {
  const std::array<HarnessFile, 8> files = {
      {{.name = "failures.py", .content = embedded::python_failures()},
       {.name = "frames.py", .content = embedded::python_frames()},
       {.name = "json_values.py", .content = embedded::python_json_values()},
       {.name = "loading.py", .content = embedded::python_loading()},
       {.name = "log.py", .content = embedded::python_log()},
       {.name = "worker.py", .content = embedded::python_worker()},
       {.name = "zygote.py", .content = embedded::python_zygote()},
       {.name = "libseam_zygote.so", .content = embedded::zygote_library(), .executable = true}}};
  SEAM_ASSIGN_OR_RETURN(const std::string folder, write_harness(options.harness_folder, files));

  process::WorkerSpec spec;
  spec.name = "python";
  spec.argv = {options.interpreter, "-I", "-B", "-X", "utf8"};
  spec.argv.insert(spec.argv.end(), options.flags.begin(), options.flags.end());
  spec.argv.emplace_back("/harness/zygote.py");
  spec.environment = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"};
  spec.binds = {{.host_path = folder, .sandbox_path = "/harness"}};
  // At a place that no worker has, so that none can take it for its own.
  if (!options.folders.empty())
    spec.zygote_binds = {{.host_path = options.folders, .sandbox_path = "/functions"}};
  spec.limits = options.worker;

  return std::make_unique<WorkerPool>(
      WorkerPoolOptions{.name = "python",
                        .kind = {.ending_words = "os._exit() and a fatal error end",
                                 .install_remedy = kInstallRemedy,
                                 .is_memory_failure = is_memory_failure,
                                 .is_memory_end = is_memory_end},
                        .limits = options.limits,
                        .memory_bytes_max = options.worker.memory_bytes_max},
      std::make_unique<ZygoteLauncher>(spawner, std::move(spec), *loops.front()), loops);
}

}  // namespace seam::runtimes
