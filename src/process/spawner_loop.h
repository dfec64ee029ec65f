#pragma once
// What the spawner process does: one thread that waits for requests of the server, for workers that
// start or end, and for answers of zygotes, and never for one of them alone.
//
//   SpawnerLoop(std::move(socket), Isolation::kRequired, cgroups, means).run();   // until the
//                                                            // server's end closes; kills everyone

#include <sys/types.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "base/file_descriptor.h"
#include "process/cgroup.h"
#include "process/isolation_means.h"
#include "process/sandbox_plan.h"
#include "process/spawner_messages.h"
#include "process/unix_message.h"
#include "process/wire.h"

namespace seam::process {

class SpawnerLoop {
 public:
  SpawnerLoop(FileDescriptor server, Isolation isolation, CgroupTree cgroups, IsolationMeans means);
  // Returns when the server has gone and every worker with it.
  void run();

 private:
  // What an epoll event is about.
  enum class Source : std::uint8_t { kServer, kStart, kEnd, kZygote };

  struct Fork;
  struct Worker {
    std::uint64_t id = 0;
    pid_t pid = -1;
    FileDescriptor pidfd;
    Cgroup cgroup;
    std::uint32_t uid_slot = 0;
    std::optional<int> status;  // once it has ended
    bool abandoned = false;     // its start failed: nobody will reap it
    std::optional<std::uint64_t> reap_request;
    unsigned removals = 0;  // attempts to remove its cgroup
    std::uint64_t memory_kills = 0;

    // While it starts.
    bool starting = true;
    std::uint64_t start_request = 0;
    FileDescriptor start;  // what the child says about its start
    std::string start_bytes;
    FileDescriptor socket;  // the server's ends, handed over with the reply
    FileDescriptor output;

    // Of a zygote.
    bool is_zygote = false;
    FileDescriptor control;
    WorkerSpec spec;
    std::deque<std::unique_ptr<Fork>> forks;  // the first is with the zygote
  };

  // The child's ends of a start.
  struct ChildEnds {
    FileDescriptor socket;
    FileDescriptor output;
    FileDescriptor start;
    std::vector<FileDescriptor> cgroup_entries;
  };

  // A worker that its zygote is to fork, or is forking.
  struct Fork {
    std::unique_ptr<Worker> worker;
    ChildEnds ends;
    SandboxPlan plan;
  };

  struct Reply {
    std::string bytes;
    std::vector<FileDescriptor> owned;
  };

  // Requests.
  bool read_requests();  // false: the server has gone
  void handle(std::string_view bytes);
  void spawn(std::uint64_t request, WorkerSpec spec, bool zygote);
  void fork_from(std::uint64_t request, std::uint64_t zygote_id,
                 const std::vector<ReadOnlyBind>& binds);
  void set_memory_limit(std::uint64_t request, std::uint64_t id, std::uint64_t bytes_max);
  void reap(std::uint64_t request, std::uint64_t id);
  void tell_memory(std::uint64_t request, std::uint64_t id);

  // Starting.
  Result<ChildEnds> prepare(Worker& worker, const WorkerSpec& spec, bool zygote);
  [[nodiscard]] SandboxPlan plan_for(const Worker& worker, const WorkerSpec& spec) const;
  [[noreturn]] void become_worker(const SandboxPlan& plan, const WorkerSpec& spec, bool zygote,
                                  ChildEnds ends) const;
  void adopt(std::unique_ptr<Worker> worker);
  void read_start(Worker& worker);
  void finish_start(Worker& worker);

  // Zygotes.
  void send_fork(Worker& zygote);
  void read_zygote(Worker& zygote);
  void fail_forks(Worker& zygote);
  void end_strays() const;

  // Ending.
  void read_end(Worker& worker);
  void kill(const Worker& worker) const;
  void finish(std::uint64_t id);
  void end_everyone();

  // Replies.
  void reply_error(std::uint64_t request, ErrorCode code, const std::string& message);
  void reply(std::uint64_t request, const WireWriter& payload, std::vector<FileDescriptor> owned);
  void flush_replies();

  [[nodiscard]] Worker* find(std::uint64_t id);
  void watch(int fd, Source source, std::uint64_t id) const;
  std::optional<std::uint32_t> take_uid_slot();

  FileDescriptor server_;
  Isolation isolation_;
  CgroupTree cgroups_;
  IsolationMeans means_;
  std::uint32_t uid_base_;
  FileDescriptor epoll_;
  std::unordered_map<std::uint64_t, std::unique_ptr<Worker>> workers_;
  std::unordered_set<std::uint64_t> finishing_;  // ended, their cgroup not yet gone
  std::unordered_set<std::uint32_t> uid_slots_;
  std::uint32_t uid_next_ = 0;
  std::uint64_t id_next_ = 1;
  std::deque<Reply> replies_;  // waiting for room in the socket; one a request at most
};

}  // namespace seam::process
