#pragma once
// Compiles functions in Rust to WebAssembly, each in a sandbox of its own, each source once.
//
//   RustCompiler compiler(options, spawner);
//   Result<std::shared_ptr<const std::string>> module =
//       co_await compiler.module(source, call.deadline, call.cancelled);
//
// It has a thread of its own, on which it talks to compilers and reads and writes files, so that
// none of it holds a server loop. What was compiled is kept on disk by the digest of source,
// toolchain and what Seam links to it; a file there that is torn or was changed is as if it were
// not there. At the first source of a toolchain the libraries are compiled too (some 15 s), unless
// the toolchain brings them.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/task.h"
#include "process/spawner.h"
#include "runtimes/runtime.h"
#include "runtimes/rust/toolchain.h"
#include "runtimes/wait.h"
#include "wasm/module_cache.h"

namespace seam::runtimes {

struct RustCompilerOptions {
  std::string folder;                   // what it keeps lies below; made if need be
  std::vector<std::string> toolchains;  // folders to look in, the first that has one wins
  bool toolchain_wanted = false;        // somebody named it: to have none is a fault
  seconds time_max{60};                 // of one source
  std::uint64_t memory_bytes_max = 1ULL << 30U;
  std::uint64_t modules_bytes_max = 1ULL << 30U;  // kept on disk; the longest written goes first
  unsigned at_once_max = 1;                       // compilers
  // Sources that were compiled beforehand, by their SHA-256 in hexadecimal; static bytes.
  std::map<std::string, std::string_view> precompiled = {};
};

// Sources that wait for a compiler; the next is kUnavailable.
inline constexpr std::size_t kRustCompilesWaitingMax = 64;
// Sources whose errors are remembered.
inline constexpr std::size_t kRustErrorsKeptMax = 256;

class RustCompiler {
 public:
  using Module = std::shared_ptr<const std::string>;  // shared by those who wait for one source

  // Writes its files below `folder` and starts its thread.
  // errors    as write_harness() and wasm::ModuleCache::open()
  [[nodiscard]] static Result<std::unique_ptr<RustCompiler>> start(RustCompilerOptions options,
                                                                   process::Spawner& spawner);
  RustCompiler(const RustCompiler&) = delete;
  RustCompiler& operator=(const RustCompiler&) = delete;
  ~RustCompiler();  // after shut_down()

  // Any loop; resumes on it. A caller that gives up leaves the work to the next.
  // errors    kInvalidArgument      the source does not compile: see read_diagnostics()
  //           kDeadlineExceeded     the caller's time is up, or that of one source
  //           kCancelled            the caller is gone, or the server ends
  //           kUnavailable          too many wait, or no process is to be had
  //           kFailedPrecondition   there is no toolchain: the message says what to install
  [[nodiscard]] Task<Result<Module>> module(ProgramPtr program, Deadline deadline,
                                            std::stop_token cancelled);

  // Any thread; looks for files.
  [[nodiscard]] RuntimeHealth health() const;
  // Compilers ever started, and those that failed to start or to say anything. Any thread.
  [[nodiscard]] std::uint64_t started() const { return started_; }
  [[nodiscard]] std::uint64_t start_failures() const { return start_failures_; }

  // Ends what runs. No module() comes later. Resumes on the calling loop.
  [[nodiscard]] Task<> shut_down();

 private:
  struct Compilation {
    ProgramPtr program;
    std::optional<Result<Module>> outcome;  // written on home_ before anyone is told
    std::vector<std::shared_ptr<Wait>> waiting;
  };
  struct Prepared {
    RustToolchain toolchain;
    std::filesystem::file_time_type changed_at;  // of its rustc
    std::string key;                             // of the toolchain and of what is linked
    std::string libraries;                       // a folder
  };

  RustCompiler(RustCompilerOptions options, process::Spawner& spawner, std::string harness,
               std::string harness_digest, wasm::ModuleCache modules);

  void join(ProgramPtr program, std::shared_ptr<Compilation>* joined, std::shared_ptr<Wait> wait);
  Task<> compile(std::shared_ptr<Compilation> compilation);
  Task<Result<Module>> make(ProgramPtr program);
  Task<Result<Module>> run_compiler(std::shared_ptr<const Prepared> prepared, std::string source,
                                    std::string key);
  Task<Result<std::shared_ptr<const Prepared>>> prepare();
  Task<Result<std::string>> ask_version(RustToolchain toolchain);
  Task<Result<std::shared_ptr<const Prepared>>> prepare_alone();
  // `prepared` is the caller's, which awaits this.
  Task<Result<void>> make_libraries(const Prepared& prepared);
  [[nodiscard]] process::WorkerSpec spec_for(const RustToolchain& toolchain,
                                             std::string_view word) const;
  void remember_error(const std::string& hash, const Error& error);

  const RustCompilerOptions options_;
  process::Spawner& spawner_;
  const std::string harness_;         // the folder with compile.sh and what it needs
  const std::string harness_digest_;  // of what is in it
  const wasm::ModuleCache modules_;
  std::atomic<std::uint64_t> started_{0};
  std::atomic<std::uint64_t> start_failures_{0};
  std::stop_source stop_;

  EventLoop home_{"seam-rust"};
  // All below belongs to home_.
  std::unordered_map<std::string, std::shared_ptr<Compilation>> compiling_;  // by a source's hash
  std::unordered_map<std::string, Error> errors_;
  std::deque<std::string> errors_in_order_;
  std::shared_ptr<const Prepared> prepared_;  // shared with those who compile by it
  Gate preparing_{1, SIZE_MAX};
  Gate compilers_;
  std::thread thread_;  // last: it serves home_
};

}  // namespace seam::runtimes
