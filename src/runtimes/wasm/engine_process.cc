#include "runtimes/wasm/engine_process.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/check.h"
#include "runtimes/wait.h"
#include "runtimes/wasm/engine_worker.h"
#include "runtimes/worker_messages.h"
#include "runtimes/worker_pool.h"

namespace seam::runtimes {

namespace {

constexpr const char* kProgramInside = "/engine/seam";
constexpr const char* kLibrariesInside = "/engine/lib";

// Nothing that a server would set: its environment is not its workers'.
process::WorkerSpec spec_of(const EngineProcess& process, EngineTask task) {
  process::WorkerSpec spec;
  spec.name = "wasm-" + process.engine;
  spec.binds = {{.host_path = process.options.program, .sandbox_path = kProgramInside}};
  struct stat status{};
  std::string libraries;
  if (::stat(process.library_folder.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
    libraries = kLibrariesInside;
    spec.binds.push_back({.host_path = process.library_folder, .sandbox_path = libraries});
  } else if (!process.library_folder.empty()) {
    libraries = process.library_folder;  // for the message: it is not there
  }
  spec.argv = {kProgramInside, std::string(kEngineWorkerCommand)};
  for (std::string& argument : engine_arguments({.engine = process.engine,
                                                 .mode = process.mode,
                                                 .library_folder = std::move(libraries),
                                                 .build = process.options.build,
                                                 .task = task}))
    spec.argv.push_back(std::move(argument));
  spec.environment = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"};
  spec.limits = process.options.worker;
  spec.limits.memory_bytes_max += kEngineMemoryBytes;
  return spec;
}

std::string read_all(int descriptor) {
  std::string text;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    append_tail(text, {buffer.data(), static_cast<std::size_t>(count)});
  }
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

// The guest's own limit is the engine's to keep, and it says so itself.
bool is_memory_failure(const FunctionError& /*error*/) { return false; }

// What Rust, C++ and Go write before they give up.
bool is_memory_end(std::string_view tail) {
  constexpr std::array<std::string_view, 4> kSigns = {"memory allocation of ", "std::bad_alloc",
                                                      "runtime: out of memory",
                                                      "runtime: cannot allocate memory"};
  for (const std::string_view sign : kSigns) {
    if (tail.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

}  // namespace

Task<Result<std::string>> engine_version(EngineProcess process, process::Spawner& spawner) {
  EventLoop* const loop = EventLoop::current();
  CHECK(loop != nullptr);
  SEAM_CO_ASSIGN_OR_RETURN(const process::SpawnedWorker worker,
                           co_await spawner.spawn(spec_of(process, EngineTask::kVersion)));
  const auto wait = std::make_shared<Wait>(*loop);
  bool late = false;
  {
    Readiness pidfd(*loop, worker.pidfd.get());
    pidfd.when_readable([wait] { wait->end(Wait::End::kReady); });
    late = co_await Wait::until(wait, Deadline::after(kWorkerStartMax), {}) != Wait::End::kReady;
  }
  const process::WorkerExit exit = co_await spawner.reap(worker.id);
  std::string said = read_all(worker.output.get());
  if (late) {
    co_return fail(ErrorCode::kFailedPrecondition,
                   fmt::format("its process did not answer within {} s", kWorkerStartMax.count()));
  }
  if (WIFEXITED(exit.status) && WEXITSTATUS(exit.status) == 0) co_return said;
  if (WIFEXITED(exit.status) && WEXITSTATUS(exit.status) == kEngineNotLoaded && !said.empty()) {
    // It says where the process saw the library; who reads this knows the folder by its own name.
    if (const std::size_t at = said.find(kLibrariesInside); at != std::string::npos)
      said.replace(at, std::string_view(kLibrariesInside).size(), process.library_folder);
    co_return fail(ErrorCode::kFailedPrecondition, std::move(said));
  }
  co_return fail(
      ErrorCode::kFailedPrecondition,
      fmt::format("its process {}; it wrote: {}", describe_exit(exit), printable_tail(said)));
}

std::unique_ptr<Runtime> make_engine_processes(const EngineProcess& process,
                                               process::Spawner& spawner,
                                               std::span<EventLoop* const> loops) {
  process::WorkerSpec spec = spec_of(process, EngineTask::kServe);
  const std::uint64_t memory_bytes_max = spec.limits.memory_bytes_max;
  return std::make_unique<WorkerPool>(
      WorkerPoolOptions{.name = "wasm",
                        .kind = {.ending_words = {},
                                 .install_remedy = "install seam again, and start it again",
                                 .is_memory_failure = is_memory_failure,
                                 .is_memory_end = is_memory_end,
                                 .ends_calls_itself = true,
                                 .memory_bytes_beside = kEngineMemoryBytes,
                                 .engine = process.engine},
                        .limits = process.options.limits,
                        .memory_bytes_max = memory_bytes_max},
      std::make_unique<ExecLauncher>(spawner, std::move(spec)), loops);
}

}  // namespace seam::runtimes
