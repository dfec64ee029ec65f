#pragma once
// The spawner: a small single-threaded process, forked before the server starts a thread or opens a
// library, that alone clones, sandboxes and starts worker processes and zygotes. The server asks it
// over a socket and gets back a connected socket, a pidfd and the read end of the worker's stdout
// and stderr.
//
//   SEAM_ASSIGN_OR_RETURN(SpawnerProcess process, SpawnerProcess::start(options));   // first thing
//   in main() Spawner spawner(std::move(process), loop);                                       //
//   once the loop exists Result<SpawnedWorker> worker = co_await spawner.spawn(spec);
//
// When the server ends, however it ends, the spawner sees its socket close, and with the spawner
// end all workers.

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "base/file_descriptor.h"
#include "base/result.h"
#include "base/task.h"
#include "process/isolation.h"

namespace seam::process {

// What one worker may use. A limit that the machine has no controller for is kept as well as
// rlimits can; IsolationReport says which are in force.
struct WorkerLimits {
  std::uint64_t memory_bytes_max =
      256U << 20U;  // anonymous memory and page cache of the worker's cgroup, no swap
  std::uint32_t processes_max = 64;  // processes and threads together
  std::uint64_t disk_bytes_max =
      32U << 20U;  // of the worker's own /tmp, in memory; the only place it can write
  std::uint32_t open_files_max = 256;
  // Share of a busy processor against other workers. All workers together weigh as much as the
  // server (cgroup v2) or one of its threads (v1).
  std::uint32_t cpu_weight = 50;
};

struct ReadOnlyBind {
  std::string host_path;     // a directory outside
  std::string sandbox_path;  // where the worker sees it, e.g. "/harness"
};

struct WorkerSpec {
  std::string name;               // of the runtime, for the log and the cgroup: "node"
  std::vector<std::string> argv;  // argv[0] is an absolute path inside the sandbox
  std::vector<std::string>
      environment;  // "KEY=value"; nothing of the server's own environment is passed on
  std::vector<ReadOnlyBind>
      binds;  // beside /usr, /lib, /lib64, a private /tmp, a minimal /dev and /proc
  // What a zygote sees beside `binds` and its workers do not: where the binds of a fork come from.
  std::vector<ReadOnlyBind> zygote_binds = {};
  WorkerLimits limits;
  // Whether it may fork, and run the programs that it sees: a compiler that calls a linker. Such a
  // worker runs no tenant's code. Not for zygotes.
  bool starts_programs = false;
};

// A running worker. Its end of the socket is descriptor 3; its stdout and stderr are `output`. The
// worker is killed by closing nothing: call kill().
struct SpawnedWorker {
  std::uint64_t id = 0;   // names it towards the spawner
  pid_t pid = -1;         // in the server's pid namespace
  FileDescriptor socket;  // SOCK_STREAM, non-blocking, close-on-exec
  FileDescriptor output;  // pipe, non-blocking: what the worker writes to its descriptors 1 and 2
  FileDescriptor pidfd;   // readable when the worker has ended
};

// How a worker ended.
struct WorkerExit {
  int status = 0;                // as from waitpid(2)
  bool memory_exceeded = false;  // its cgroup's out-of-memory killer ended it
};

struct SpawnerOptions {
  Isolation isolation = Isolation::kRequired;
  std::string cgroup_name;  // of the server's own group of groups; by default "seam-<pid>"
};

// The process and the server's end of its socket.
class SpawnerProcess {
 public:
  // Forks. Call before any thread exists and before SIGCHLD or signal masks are changed.
  // errors    kFailedPrecondition   isolation is required and this machine cannot give it; the
  // message says what is missing
  //                                 and what to do
  [[nodiscard]] static Result<SpawnerProcess> start(const SpawnerOptions& options);
  SpawnerProcess(SpawnerProcess&& other) noexcept;
  SpawnerProcess& operator=(SpawnerProcess&& other) noexcept;
  ~SpawnerProcess();  // ends the spawner and with it every worker, and waits for that

  [[nodiscard]] const IsolationReport& report() const { return report_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool isolated() const { return isolated_; }

 private:
  friend class Spawner;
  SpawnerProcess() = default;
  void end();
  FileDescriptor socket_;
  pid_t pid_ = -1;
  std::string cgroup_name_;  // empty: it makes no groups
  IsolationReport report_;
  bool isolated_ = true;
};

// The server's side. Its calls may come from any loop; they resume on the loop they came from. At
// most kSpawnsWaitingMax requests wait at once, the next is refused.
class Spawner {
 public:
  static constexpr std::size_t kSpawnsWaitingMax = 1024;

  Spawner(SpawnerProcess process, EventLoop& loop);
  ~Spawner();  // ends the spawner and with it every worker; the loop has stopped or is the current
               // one
  Spawner(const Spawner&) = delete;
  Spawner& operator=(const Spawner&) = delete;

  [[nodiscard]] const IsolationReport& report() const;
  // Whether workers have mounts of their own: without, a worker sees a bind at its host path.
  [[nodiscard]] bool isolated() const;
  // False once the spawner has ended: no worker can be started any more. Any thread.
  [[nodiscard]] bool alive() const;

  // Starts a sandboxed worker. Returns when it has been exec'ed inside its sandbox.
  // errors    kUnavailable          no process, memory or descriptor to be had, or too many wait:
  // retry later
  //           kFailedPrecondition   the program does not exist or cannot be run in the sandbox
  //           kInternal             the spawner has died: the server cannot start workers any more
  [[nodiscard]] Task<Result<SpawnedWorker>> spawn(WorkerSpec spec);

  // Starts a zygote: a trusted process that runs `spec.argv` outside the per-worker isolation, has
  // loaded what its workers share, never runs a tenant's code, and forks a worker at each
  // fork_worker(). See guests/python/zygote.py for its part. The limits and binds are those of the
  // workers. `id` of what is returned names it for fork_worker().
  [[nodiscard]] Task<Result<SpawnedWorker>> start_zygote(WorkerSpec spec);
  // `binds` are this worker's own, beside the zygote's: each lies within one of its zygote_binds.
  // errors    as spawn(); kNotFound          the zygote has ended: start another
  //                       kInvalidArgument   a bind that the zygote does not see
  [[nodiscard]] Task<Result<SpawnedWorker>> fork_worker(std::uint64_t zygote_id,
                                                        std::vector<ReadOnlyBind> binds = {});

  // Changes the memory limit of a running worker (a warm one that gets its tenant). Without a
  // cgroup: RLIMIT_DATA.
  [[nodiscard]] Task<Result<void>> set_memory_limit(std::uint64_t worker_id,
                                                    std::uint64_t bytes_max);

  // Kills the worker with all it started, waits for its end, and gives back its cgroup. To be
  // called once for every worker, also for one that has ended by itself. The id is not valid
  // afterwards.
  [[nodiscard]] Task<WorkerExit> reap(std::uint64_t worker_id);

  // Anonymous memory in use by the worker in bytes, from its cgroup or /proc; 0 if it has ended.
  [[nodiscard]] Task<std::uint64_t> memory_bytes(std::uint64_t worker_id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace seam::process
