#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "base/file_descriptor.h"
#include "base/json_text.h"
#include "cli/commands.h"
#include "cli/host_process.h"
#include "cli/rust_toolchains.h"
#include "cli/server_engines.h"
#include "http/client.h"
#include "runtimes/rust/toolchain.h"

namespace seam::cli {

namespace {

namespace fs = std::filesystem;

struct AskedProgram {
  std::string first_line;
  std::string problem;  // empty: it answered
};

// Runs `<command> --version` for at most 10 s.
AskedProgram ask_version(const std::string& command) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0)
    return {.first_line = {}, .problem = "no pipe to be had"};
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), 1);
  posix_spawn_file_actions_adddup2(&actions, write_end.get(), 2);
  std::string program = command;
  std::string option = "--version";
  std::array<char*, 3> arguments{program.data(), option.data(), nullptr};
  std::array<char*, 1> no_environment{nullptr};
  pid_t pid = -1;
  const int error = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(),
                                  no_environment.data());
  posix_spawn_file_actions_destroy(&actions);
  write_end.reset();
  if (error != 0) return {.first_line = {}, .problem = fail_errno(command, error).error().message};

  std::string output;
  const Deadline deadline = Deadline::after(seconds(10));
  bool late = false;
  while (output.size() < 4096) {
    const auto left =
        std::chrono::ceil<milliseconds>(deadline.remaining(MonotonicClock::now())).count();
    pollfd wait{.fd = read_end.get(), .events = POLLIN, .revents = 0};
    const int ready = ::poll(&wait, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    late = ready == 0;
    std::array<char, 512> buffer{};
    const ssize_t count = ready > 0 ? ::read(read_end.get(), buffer.data(), buffer.size()) : 0;
    if (count <= 0) break;
    output.append(buffer.data(), static_cast<std::size_t>(count));
  }
  if (late) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (late) return {.first_line = {}, .problem = command + ": no answer to --version within 10 s"};
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return {.first_line = {}, .problem = command + ": --version failed"};
  }
  return {.first_line = output.substr(0, output.find('\n')), .problem = {}};
}

Check check_interpreter(const std::string& name, const std::string& command,
                        const std::string& package) {
  Check check{.name = name, .ok = false, .essential = true, .detail = {}};
  const AskedProgram asked = ask_version(command);
  if (!asked.problem.empty()) {
    check.detail = asked.problem;
    check.remedy = fmt::format("install {}, or set runtimes.{}.command", package, name);
    return check;
  }
  check.detail = fmt::format("{} ({})", asked.first_line, command);
  // The sandbox shows a worker these folders of the machine and no others.
  std::error_code error;
  const std::string target = fs::canonical(command, error).string();
  const bool visible =
      std::ranges::any_of(std::array{"/usr/", "/lib/", "/lib64/"},
                          [&](const char* folder) { return target.starts_with(folder); });
  if (!visible) {
    check.detail += fmt::format(", which is {}: not below /usr, so no worker sees it", target);
    check.remedy = fmt::format("set runtimes.{}.command to one below /usr", name);
    return check;
  }
  check.ok = true;
  return check;
}

// Rust is there for those who want it: only a toolchain that is named must be one.
Check check_rust(const RustSettings& settings) {
  Check check{.name = "rust", .ok = false, .essential = !settings.toolchain.empty(), .detail = {}};
  const Result<runtimes::RustToolchain> found =
      runtimes::find_rust_toolchain(rust_toolchains(settings));
  if (!found) {
    const std::string& message = found.error().message;
    const std::size_t remedy = message.rfind("; ");
    check.detail = message.substr(0, remedy);
    check.remedy = message.substr(remedy + 2) + "; without it no function in Rust can be put";
    return check;
  }
  const std::string command = found->folder + "/bin/rustc";
  const AskedProgram asked = ask_version(command);
  check.ok = asked.problem.empty();
  check.detail = check.ok ? fmt::format("{} ({}), {}", asked.first_line, command, found->target)
                          : asked.problem;
  if (!check.ok) check.remedy = "install it again, or set runtimes.rust.toolchain";
  return check;
}

// Looks without making anything: the directory itself, or the nearest parent that it would be made
// in.
Check check_data(const fs::path& data) {
  Check check{.name = "data directory", .ok = false, .essential = true, .detail = data.string()};
  fs::path existing = fs::absolute(data);
  std::error_code error;
  while (!fs::exists(existing, error) && existing.has_relative_path())
    existing = existing.parent_path();
  if (!fs::is_directory(existing, error)) {
    check.detail += fmt::format(": {} is not a directory", existing.string());
    check.remedy = "move it away, or choose another with --data";
    return check;
  }
  if (::access(existing.c_str(), W_OK | X_OK) != 0) {
    check.detail += fmt::format(": {} cannot be written", existing.string());
    check.remedy = "give this user write access, or choose another with --data";
    return check;
  }
  struct statvfs space{};
  if (::statvfs(existing.c_str(), &space) == 0) {
    const std::uint64_t free_mib = std::uint64_t{space.f_bavail} * space.f_frsize >> 20U;
    check.detail += fmt::format(", {} MiB free", free_mib);
    if (free_mib < 256) {
      check.remedy = "make room: a full disk stops the records of calls, and with them the calls";
      return check;
    }
  }
  check.ok = true;
  return check;
}

Check check_port(const Settings& settings) {
  const std::string place =
      fmt::format(fmt::runtime(settings.host.contains(':') ? "[{}]:{}" : "{}:{}"), settings.host,
                  settings.port);
  Check check{.name = "port", .ok = false, .essential = true, .detail = place};
  const int error = try_bind(settings);
  if (error == 0) {
    check.ok = true;
    check.detail += " is free";
  } else if (error != EADDRINUSE) {
    check.detail += fmt::format(" cannot be bound: {}", fail_errno("bind", error).error().message);
    check.remedy = settings.port < 1024 ? "choose a port of at least 1024 with --port"
                                        : "choose another --host";
  } else if (const auto answer = http::fetch({.url = fmt::format("http://{}/livez", place),
                                              .headers = {},
                                              .body = {},
                                              .timeout = seconds(3)});
             answer && answer->status == 200) {
    check.ok = true;
    check.detail += " is served already, and answers /livez";
  } else {
    check.detail += " is taken by another program";
    check.remedy = "choose another with --port, or find its user with: ss -ltnp";
  }
  return check;
}

Check check_descriptors(const Settings& settings) {
  Check check{.name = "file descriptors", .ok = false, .essential = false, .detail = {}};
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  // Of a worker: its socket, its output and its pidfd. The rest: database, spool, loops, listener.
  const std::uint64_t wanted = settings.connections_max +
                               3ULL * (settings.node.workers_max + settings.python.workers_max) +
                               128;
  check.ok = limit.rlim_max >= wanted;
  check.detail =
      limit.rlim_max == RLIM_INFINITY ? "no limit" : fmt::format("at most {}", limit.rlim_max);
  if (!check.ok) {
    check.detail += fmt::format(", and these settings may need {}", wanted);
    check.remedy = fmt::format("ulimit -Hn {}, or lower http.connections_max", wanted);
  }
  return check;
}

}  // namespace

std::vector<Check> run_checks(const Settings& settings, const process::IsolationReport& report) {
  std::vector<Check> checks;
  const bool off = settings.isolation == process::Isolation::kOff;
  if (off) {
    checks.push_back(
        {.name = "isolation",
         .ok = false,
         .essential = false,
         .detail = "is off: functions run as plain processes and can do what the server can",
         .remedy = "remove `isolation: off` unless every function is trusted"});
  }
  for (const process::IsolationLayer& layer : report.layers) {
    Check check{.name = layer.name,
                .ok = layer.in_force,
                .essential = layer.essential && !off,
                .detail = layer.detail};
    if (!layer.in_force) check.remedy = fmt::format("without it {}", layer.meaning);
    checks.push_back(std::move(check));
  }
  checks.push_back(check_interpreter("node", settings.node.command, "nodejs"));
  checks.push_back(check_interpreter("python", settings.python.command, "python3"));
  checks.push_back(check_rust(settings.rust));
  for (Check& check : check_engines(settings.wasm)) checks.push_back(std::move(check));
  checks.push_back(check_data(settings.data));
  checks.push_back(check_port(settings));
  checks.push_back(check_descriptors(settings));
  return checks;
}

CommandResult show_checks(const std::vector<Check>& checks, const Style& style) {
  std::vector<std::vector<std::string>> rows;
  std::size_t broken = 0;
  std::size_t weak = 0;
  for (const Check& check : checks) {
    if (!check.ok) ++(check.essential ? broken : weak);
    const std::string verdict = check.ok          ? style.good("ok")
                                : check.essential ? style.bad("BAD")
                                                  : style.bad("weak");
    rows.push_back({verdict, check.name, check.detail});
    if (!check.remedy.empty()) rows.push_back({"", "", style.faint(check.remedy)});
  }
  std::string out = align(rows) + "\n";
  if (broken > 0) {
    out += fmt::format(
        "{} of {} checks failed: `seam serve` would not start, or a language would be missing.\n",
        broken, checks.size());
  } else if (weak > 0) {
    out += "Seam can run here, with the weak points above. See docs/security-model.md.\n";
  } else {
    out += "Seam can run here.\n";
  }
  return {.exit_code = broken > 0 ? kFailed : kOk, .out = out};
}

CommandResult show_checks_json(const std::vector<Check>& checks) {
  const bool ok = std::ranges::all_of(checks, [](const Check& c) { return c.ok || !c.essential; });
  std::string out = fmt::format("{{\"ok\":{},\"checks\":[", ok);
  for (const Check& check : checks) {
    if (out.back() != '[') out += ',';
    out += "{\"name\":";
    append_json_string(out, check.name);
    fmt::format_to(std::back_inserter(out), ",\"ok\":{},\"essential\":{},\"detail\":", check.ok,
                   check.essential);
    append_json_string(out, check.detail);
    out += ",\"remedy\":";
    append_json_string(out, check.remedy);
    out += '}';
  }
  return {.exit_code = ok ? kOk : kFailed, .out = indent_json(out + "]}") + "\n"};
}

}  // namespace seam::cli
