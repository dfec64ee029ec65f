#include "runtimes/node/node_runtime.h"

#include <array>
#include <string_view>

#include "runtimes/harness_files.h"
#include "runtimes/worker_pool.h"

namespace seam::embedded {
std::string_view node_failures();
std::string_view node_loading();
std::string_view node_originals();
std::string_view node_worker();
}  // namespace seam::embedded

namespace seam::runtimes {

namespace {

// V8 refuses one large buffer with a RangeError; that is memory too.
bool is_memory_failure(const FunctionError& error) {
  return error.kind == FunctionError::Kind::kThrew && error.type == "RangeError" &&
         error.message == "Array buffer allocation failed";
}

// What V8 and libc write before they give up. The last is V8's word for a kernel that gives it no
// more writable memory (RLIMIT_DATA).
bool is_memory_end(std::string_view tail) {
  constexpr std::array<std::string_view, 5> kSigns = {
      "JavaScript heap out of memory", "Fatal process out of memory", "FatalProcessOutOfMemory",
      "std::bad_alloc", "Check failed: reservation_.SetPermissions"};
  for (const std::string_view sign : kSigns) {
    if (tail.find(sign) != std::string_view::npos) return true;
  }
  return false;
}

constexpr std::string_view kInstallRemedy =
    "install Node.js 18 or newer (Debian: apt-get install nodejs) or name it in "
    "runtimes.node.command";

}  // namespace

Result<std::unique_ptr<Runtime>> create_node_runtime(NodeOptions options, process::Spawner& spawner,
                                                     std::span<EventLoop* const> loops) {
  const std::array<HarnessFile, 4> files = {
      {{.name = "worker.js", .content = embedded::node_worker()},
       {.name = "failures.js", .content = embedded::node_failures()},
       {.name = "loading.js", .content = embedded::node_loading()},
       {.name = "originals.js", .content = embedded::node_originals()}}};
  SEAM_ASSIGN_OR_RETURN(const std::string folder, write_harness(options.harness_folder, files));

  process::WorkerSpec spec;
  spec.name = "node";
  spec.argv = {options.interpreter, "--experimental-vm-modules", "--no-warnings"};
  spec.argv.insert(spec.argv.end(), options.flags.begin(), options.flags.end());
  spec.argv.emplace_back("/harness/worker.js");
  spec.environment = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"};
  spec.binds = {{.host_path = folder, .sandbox_path = "/harness"}};
  spec.limits = options.worker;

  return std::make_unique<WorkerPool>(
      WorkerPoolOptions{.name = "nodejs",
                        .kind = {.ending_words = "process.exit() and process.abort() end",
                                 .install_remedy = kInstallRemedy,
                                 .is_memory_failure = is_memory_failure,
                                 .is_memory_end = is_memory_end},
                        .limits = options.limits,
                        .memory_bytes_max = options.worker.memory_bytes_max},
      std::make_unique<ExecLauncher>(spawner, std::move(spec)), loops);
}

}  // namespace seam::runtimes
