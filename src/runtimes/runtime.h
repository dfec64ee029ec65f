#pragma once
// A runtime runs programs of one kind: Node, Python, WebAssembly, …  The executor
// (functions/executor.h) picks one by the route and calls run(); everything that differs between
// languages is behind this interface, and every runtime passes the same conformance suite
// (tests/conformance).
//
//   Outcome outcome = co_await runtime.run(program, call, sink);

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/task.h"

namespace seam::runtimes {

// Limits of one implementation. The defaults are the server's; docs/limits.md lists them.
struct ProgramLimits {
  std::uint64_t memory_bytes_max = 256U << 20U;
  std::uint64_t disk_bytes_max = 32U << 20U;
  std::uint32_t processes_max = 64;
  std::size_t log_bytes_max = 256U << 10U;    // of one call, kept; more is counted and dropped
  std::size_t result_bytes_max = 16U << 20U;  // more is a function error, never cut
  std::uint32_t workers_max = 4;              // worker processes of this program at once
  std::uint32_t concurrency_max = 4;          // calls that run at once; the next wait in the queue
  std::uint32_t queue_max = 256;              // calls that wait; the next is kUnavailable
};

// Which WebAssembly engine runs a program, and where. What is left empty is as the server's
// settings say.
struct EngineWish {
  std::string engine = {};    // "wasmi"
  std::string fallback = {};  // runs it where `engine` cannot be loaded
  bool own_process = false;   // in processes that run this program alone
  friend bool operator==(const EngineWish&, const EngineWish&) = default;
};

// What is run: one implementation of a function's version, or the script of a session. Immutable
// and shared between threads.
struct Program {
  std::string
      id;  // unique for as long as the server runs: "implementation:17", "session:<uuid>:<hash>"
  std::string tenant;  // whose it is; programs of two tenants never share a process
  std::string language_title;
  std::string content;  // source text in UTF-8, or a WebAssembly module; empty with a folder
  // The files of a program that was sent as an archive: an absolute path, or null. Workers of this
  // program see it read-only. Shared: its owner removes it when the last program has let go.
  std::shared_ptr<const std::string> folder;
  std::string hash;  // SHA-256 of content as it was sent, hexadecimal
  std::string
      entry;  // an export to call; with a folder "file" or "file:export"; empty for the default
  std::map<std::string, std::string> environment;
  ProgramLimits limits;
  EngineWish wish;
};
using ProgramPtr = std::shared_ptr<const Program>;  // shared: a call in flight outlives the
                                                    // catalogue that named it

// One call. The views live until run() has returned.
struct Call {
  std::string_view call_id;
  std::string_view params;   // checked JSON, the bytes that came
  std::string_view context;  // checked JSON object
  Deadline deadline;         // covers waiting for a worker too
  std::stop_token
      cancelled;  // the caller is gone: stop as soon as you can; the outcome is kCancelled
};

enum class LogStream : std::uint8_t { kStdout = 0, kStderr = 1 };

// Receives what a call gives while it runs, on the thread that awaits run().
class CallSink {
 public:
  virtual ~CallSink() = default;
  // The next part of the result, in order. Their concatenation is one checked JSON value if and
  // only if the outcome is Completed. A runtime may give it all at once.
  virtual void on_result(std::string_view chunk) = 0;
  // Whatever the function printed: any bytes, not always whole lines. At most log_bytes_max a call.
  virtual void on_log(LogStream stream, std::string_view bytes) = 0;
};

// Where the time of a call went, and what it used. Filled whatever the outcome.
struct CallStats {
  nanoseconds queue_time{0};  // waiting for a worker or a slot
  nanoseconds start_time{0};  // starting a worker, compiling, instantiating
  nanoseconds run_time{0};    // in the function
  bool cold_start = false;    // no warm worker or compiled module was at hand
  std::uint64_t log_bytes_dropped = 0;
  std::uint64_t memory_bytes = 0;  // peak, where the runtime knows it; else 0
  std::string_view engine = {};  // that ran it, "wasmtime", where there are several; the runtime's
};

// The result is in the sink.
struct Completed {};

// The function's own failure: the host did its part.
struct FunctionError {
  enum class Kind : std::uint8_t {
    kThrew,           // an exception, a trap, a non-zero exit of a command
    kBadResult,       // what it returned is not JSON, or too large
    kLoadFailed,      // the source cannot be loaded
    kWorkerDied,      // process.exit, a crash, a kill
    kMemoryExceeded,  // it passed its memory limit
    kProtocol,        // its worker answered nonsense and was killed
  };
  Kind kind = Kind::kThrew;
  std::string type;  // "TypeError"; may be empty
  std::string message;
  std::optional<int> line;    // from 1, in the user's source
  std::optional<int> column;  // from 1
  std::string stack_trace;
};

// Error: the host could not run it, or stopped it:
//   kInvalidArgument     the source of a compiled language does not compile; details as prepare()'s
//   kDeadlineExceeded    its time is up; the worker is ended, the next call gets a fresh one
//   kCancelled           the caller is gone
//   kUnavailable         every worker busy and the queue full, or no worker can be started now;
//   nothing has run kFailedPrecondition  this runtime cannot work here (no interpreter, no
//   isolation); the message says what to do kInternal            ours
struct Outcome {
  std::variant<Completed, FunctionError, Error> value;
  CallStats stats;
};

// What /health and `seam doctor` say of a runtime.
struct RuntimeHealth {
  bool up = true;
  // False where it is not up and nobody said that it should be: it is optional, and what it needs
  // is not installed. Such a runtime makes no server degraded.
  bool configured = true;
  // It runs programs, but not all: the detail says which it cannot. Makes a server degraded.
  bool impaired = false;
  std::string detail;  // version in use, or what is wrong and what to do
};

// What a runtime has at this moment, and has started ever. A runtime without worker processes has
// calls only.
struct RuntimeCounts {
  std::size_t workers = 0;    // processes, also those that start or end
  std::size_t warm = 0;       // ready and without a program
  std::size_t idle = 0;       // loaded and waiting for a call
  std::size_t running = 0;    // calls
  std::size_t waiting = 0;    // calls
  std::uint64_t started = 0;  // workers, ever
  std::uint64_t start_failures = 0;
};

class Runtime {
 public:
  virtual ~Runtime() = default;

  // "nodejs", "python", "wasm": the language of the runtime map. Static text.
  [[nodiscard]] virtual std::string_view name() const = 0;

  // Whether programs may have a folder.
  [[nodiscard]] virtual bool takes_folders() const { return false; }

  // Whether its programs may have this wish; whether the engine can be loaded is prepare()'s and
  // run()'s affair. Any thread.
  // errors    kInvalidArgument   the message begins with the key (engine, fallback, isolation) and
  //                              says what would be right
  [[nodiscard]] virtual Result<void> check_wish(const EngineWish& wish) const;

  // Checks that the program can be loaded (a module is compiled) before it is stored. Any loop;
  // resumes on it. errors    kInvalidArgument   the content is not acceptable; details holds
  // {"line", "column"} where known
  //           else as Outcome's
  [[nodiscard]] virtual Task<Result<void>> prepare(ProgramPtr program) = 0;

  // Runs one call. Any loop; resumes on it. `call` and `sink` are borrowed until it returns.
  [[nodiscard]] virtual Task<Outcome> run(ProgramPtr program, const Call& call, CallSink& sink) = 0;

  // Gives back what is kept warm for a program; calls in flight end by themselves. Any thread.
  virtual void release(const std::string& program_id) = 0;

  // Any thread.
  [[nodiscard]] virtual RuntimeHealth health() const = 0;

  // For /metrics. Any loop; resumes on it.
  [[nodiscard]] virtual Task<RuntimeCounts> counts() = 0;

  // Ends everything kept warm; no run() is in flight or comes later. Resumes on the calling loop.
  [[nodiscard]] virtual Task<> shut_down() = 0;
};

}  // namespace seam::runtimes
