// The main thread watches and reloads; the host's own thread answers calls meanwhile; a third
// writes what is said. A reload reads the files, hands them to the host, which loads them into a
// worker, and lets go of the version before once the new one answers: the worker that has loaded it
// takes the first call.

#include "cli/development.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <memory>
#include <stop_token>
#include <thread>

#include "api/errors.h"
#include "api/functions_api.h"
#include "base/event_loop.h"
#include "base/json_text.h"
#include "base/log.h"
#include "cli/api_client.h"
#include "cli/development_output.h"
#include "cli/flags.h"
#include "cli/host_process.h"
#include "cli/project_source.h"
#include "cli/run_folder.h"
#include "cli/run_on.h"
#include "cli/wiring.h"
#include "functions/executor.h"
#include "functions/log_hub.h"
#include "functions/registry.h"
#include "functions/whole_number.h"
#include "http/client.h"
#include "process/spawner.h"
#include "watch/file_watcher.h"

namespace seam::cli {

namespace fs = std::filesystem;

namespace {

// What a call leaves to be shown. One that was refused before it ran has no record of its own.
store::CallRecord shown(const functions::CallAnswer& answer, int status) {
  if (answer.ran) return answer.record;
  store::CallRecord record;
  record.call_id = answer.call_id;
  record.request_id = answer.call_id;
  record.language_title = answer.language_title;
  record.started_at = Clock::real().wall_now();
  record.status_code = static_cast<std::uint16_t>(status);
  if (const auto* error = std::get_if<Error>(&answer.outcome.value)) {
    record.error_message = error->message;
    record.error_code =
        answer.params_refused ? "INVALID_PARAMS" : api::public_code(error->code).name;
  }
  return record;
}

Task<> show_logs(functions::LogHub& hub, DevelopmentOutput& output, EventLoop& home,
                 std::stop_token stop) {
  const Result<std::unique_ptr<functions::LogFollower>> follower = co_await hub.follow({});
  if (!follower) co_return;
  while (!stop.stop_requested()) {
    const std::vector<functions::LogEntry> entries = co_await (*follower)->next(stop);
    co_await output.loop().schedule();
    output.logs(entries);
    co_await home.schedule();
  }
}

// Line `number` of a text with the one before it, and a mark below the column.
std::string excerpt_of(const std::string& path, std::int64_t number, std::int64_t column) {
  std::ifstream file(path);
  std::string out;
  std::string line;
  for (std::int64_t i = 1; i <= number && std::getline(file, line); ++i) {
    if (line.size() > 200) line.resize(200);
    if (i + 1 >= number) out += fmt::format("{:>5} | {}\n", i, line);
  }
  const bool marked = column > 0 && static_cast<std::size_t>(column) <= line.size() + 1;
  return marked ? out + std::string(static_cast<std::size_t>(column) + 7, ' ') + "^" : out;
}

std::int64_t integer_of(const JsonObjectText& object, std::string_view name) {
  return functions::whole_number(object.find(name).value_or("")).value_or(0);
}

// A call that this command makes, on a thread of its own; the next one ends it.
class OwnCall {
 public:
  OwnCall() : stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}
  OwnCall(const OwnCall&) = delete;
  OwnCall& operator=(const OwnCall&) = delete;
  ~OwnCall() { end(); }

  void start(const std::string& url, const std::string& function, const std::string& params,
             std::int64_t version, DevelopmentOutput& output) {
    end();
    thread_ = std::jthread([this, url, function, params, version, &output] {
      const Result<http::ClientResponse> answer = http::fetch(
          {.method = http::Method::kPost,
           .url = fmt::format("{}/api/v1/functions/{}/invoke?version={}", url, function, version),
           .headers = {{"Content-Type", "application/json"}},
           .body = fmt::format("{{\"params\": {}}}", params),
           .timeout = kCallPatience,
           .stop_fd = stop_.get()});
      if (!answer) {
        if (answer.error().code != ErrorCode::kCancelled)
          output.note("the call with --params got no answer: " + answer.error().message);
        return;
      }
      const Result<JsonObjectText> body = JsonObjectText::parse(answer->body);
      const auto result = body ? body->find("result") : std::nullopt;
      if (answer->status == 200 && result) output.result(version, std::string(*result));
    });
  }

 private:
  void end() {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(stop_.get(), &one, sizeof one);
    thread_.join();
    std::uint64_t taken = 0;
    [[maybe_unused]] const ssize_t got = ::read(stop_.get(), &taken, sizeof taken);
  }
  FileDescriptor stop_;
  std::jthread thread_;
};

class Loop {
 public:
  Loop(const Development& wanted, const Project& project, FunctionHost& host,
       DevelopmentOutput& output)
      : wanted_(wanted),
        host_(host),
        inside_(host.inside()),
        output_(output),
        source_(wanted.path, wanted.name, inside_.packages, wanted.settings.content_bytes_max),
        project_(project) {}

  // Until a signal.
  Result<void> run() {
    const sigset_t signals = stop_signals();
    const FileDescriptor signal(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    Readiness stopped(loop_, signal.get());
    stopped.when_readable([this] { loop_.stop(); });
    SEAM_RETURN_IF_ERROR(watch());
    output_.listening({.url = host_.url(),
                       .function = project_.name,
                       .path = wanted_.path,
                       .params = wanted_.params.value_or(example_params(project_)),
                       .isolated = wanted_.settings.isolation != process::Isolation::kOff});
    loop_.post([this] { reload(); });
    loop_.run();
    watcher_.reset();
    return {};
  }

 private:
  Result<void> watch() {
    watch::WatchOptions options;
    if (project_.folder.empty()) {
      const fs::path file = fs::absolute(wanted_.path);
      options.folder = file.parent_path().string();
      options.wanted = [name = file.filename().string()](std::string_view path, bool is_folder) {
        return path == name && !is_folder;
      };
    } else {
      options.folder = project_.folder;
      ignore_text_ = ignore_text();
      SEAM_ASSIGN_OR_RETURN(IgnoreRules rules, ignore_rules(project_.folder));
      options.wanted = [project = project_, rules = std::move(rules)](std::string_view path,
                                                                      bool is_folder) {
        return is_of_interest(project, rules, path, is_folder);
      };
    }
    options.on_change = [this] { reload(); };
    options.on_problem = [this](const Error& error) { fail({.message = error.message}); };
    SEAM_ASSIGN_OR_RETURN(watcher_, watch::FileWatcher::start(loop_, std::move(options)));
    return {};
  }

  [[nodiscard]] std::string ignore_text() const {
    std::ifstream file(fmt::format("{}/{}", project_.folder, kIgnoreFile));
    return {std::istreambuf_iterator<char>(file), {}};
  }

  void reload() {
    const MonotonicTime began = MonotonicClock::now();
    if (!project_.folder.empty() && ignore_text() != ignore_text_) {
      if (const Result<void> watched = watch(); !watched)
        fail({.message = watched.error().message});
    }
    Result<SourceState> state = source_.read([this](const std::string& line) {
      if (std::exchange(said_, line) != line) output_.note(line);
    });
    if (!state) {
      fingerprint_.clear();
      fail({.message = state.error().message});
      return;
    }
    if (state->fingerprint == fingerprint_) return;
    fingerprint_ = state->fingerprint;
    const std::string before = std::exchange(project_, state->project).name;
    Result<functions::Written> written = put(*std::move(state));
    if (!written) {
      fail(describe(written.error()));
      project_.name = before;
      return;
    }
    said_failure_.clear();
    version_ = written->function->row.version;
    output_.reloaded(version_, MonotonicClock::now() - began);
    if (project_.name != before && was_put_) {
      output_.renamed(project_.name, host_.url(), example_params(project_));
      [[maybe_unused]] const Result<void> removed =
          run_on(inside_.home, inside_.registry.remove(before));
    }
    was_put_ = true;
    if (wanted_.params)
      own_call_.start(host_.url(), project_.name, *wanted_.params, version_, output_);
    source_.collect();
  }

  Result<functions::Written> put(SourceState state) {
    SEAM_ASSIGN_OR_RETURN(
        functions::PutRequest request,
        inside_.functions_api.read_manifest(state.project.name, state.project.manifest));
    request.drop_others = true;
    request.folder = std::move(state.folder);
    if (!request.folder) {
      request.content = std::move(state.content);
      SEAM_RETURN_IF_ERROR(inside_.functions_api.check_content(request));
    }
    return run_on(inside_.home, inside_.registry.put(std::move(request)));
  }

  // What the host says of a source that it cannot load.
  [[nodiscard]] Failure describe(const Error& error) const {
    Failure failure{.message = error.message};
    const Result<JsonObjectText> details = JsonObjectText::parse(error.details);
    const std::int64_t line = details ? integer_of(*details, "line") : 0;
    if (line == 0) return failure;
    if (project_.kind != ProjectKind::kSingle) {
      // Which file it is in, the stack alone says; it begins with the message.
      failure.excerpt = decode_json_string(details->find("stack_trace").value_or("\"\""));
      return failure;
    }
    const std::int64_t column = integer_of(*details, "column");
    failure.place = fmt::format("{}:{}{}", fs::path(project_.file).filename().string(), line,
                                column > 0 ? fmt::format(":{}", column) : "");
    failure.excerpt = excerpt_of(project_.file, line, column);
    return failure;
  }

  // Each failure once, however many events it takes to mend it.
  void fail(Failure failure) {
    const std::string all = failure.message + failure.place + failure.excerpt;
    if (std::exchange(said_failure_, all) == all) return;
    failure.serving = version_;
    output_.failed(failure);
  }

  const Development& wanted_;
  FunctionHost& host_;
  const FunctionHost::Inside inside_;
  DevelopmentOutput& output_;
  EventLoop loop_{"seam-run"};
  ProjectSource source_;
  Project project_;
  std::unique_ptr<watch::FileWatcher> watcher_;
  std::string ignore_text_;
  std::string fingerprint_;   // of what was last tried
  std::string said_;          // by an installer, the last
  std::string said_failure_;  // the last, until a version loads
  std::int64_t version_ = 0;  // that answers; 0: none
  bool was_put_ = false;
  OwnCall own_call_;
};

CommandResult failed(const Error& error) {
  return {.exit_code = kFailed, .error = error.message + "\n"};
}

// All that begins after the signals are blocked.
CommandResult serve(const Development& wanted, const Project& project, Settings settings,
                    process::SpawnerProcess spawner) {
  const Result<std::unique_ptr<RunFolder>> folder = RunFolder::make();
  if (!folder) return failed(folder.error());
  settings.data = (*folder)->path();
  // Made in this order and ended in the other: calls are shown until the host has stopped.
  DevelopmentOutput output({.json = wanted.json,
                            .style = wanted.style,
                            .show_results = !wanted.params.has_value(),
                            .on_closed = [] { ::kill(::getpid(), SIGTERM); }});
  const Result<std::unique_ptr<FunctionHost>> host = FunctionHost::start(
      settings, std::move(spawner),
      {.examples = false, .on_call = [&output](const functions::CallAnswer& answer, int status) {
         output.call(shown(answer, status));
       }});
  if (!host) return failed(host.error());
  const FunctionHost::Inside inside = (*host)->inside();
  if (const auto manifest = inside.functions_api.read_manifest(project.name, project.manifest)) {
    // No change of its files helps where there is no runtime for it.
    const auto runtime = inside.registry.need_runtime(manifest->runtime);
    if (!runtime) return refuse(runtime.error());
  }
  EventLoop& home = inside.home;
  std::stop_source stop_logs;
  std::promise<void> logs_ended;
  home.post([&, token = stop_logs.get_token()] {
    start(show_logs(inside.logs, output, home, token), [&logs_ended] { logs_ended.set_value(); });
  });
  const Result<void> ran = Loop(wanted, project, **host, output).run();
  // A second signal ends the process by its default action.
  const sigset_t signals = stop_signals();
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) std::signal(signal, SIG_DFL);
  signalfd_siginfo taken{};
  const FileDescriptor first(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  while (::read(first.get(), &taken, sizeof taken) > 0) {
  }
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  stop_logs.request_stop();
  logs_ended.get_future().wait();
  (*host)->stop();
  flush_log();
  return ran ? CommandResult{} : failed(ran.error());
}

}  // namespace

CommandResult develop(const Development& development) {
  Result<Project> project = read_project(development.path, development.name);
  if (const auto build = read_build(development.path); !project && build && !build->empty()) {
    // What the project is may be told by what is built.
    const Result<void> built = run_build(development.path, *build, [](const std::string&) {});
    if (!built) return failed(built.error());
    project = read_project(development.path, development.name);
  }
  if (!project) return refuse(project.error());
  Settings settings = development.settings;
  if (development.other_port && try_bind(settings) != 0) settings.port = 0;
  Result<process::SpawnerProcess> spawner = prepare_host_process(settings);
  if (!spawner) {
    CommandResult result = failed(spawner.error());
    if (settings.isolation == process::Isolation::kRequired)
      result.error +=
          "`seam doctor` explains each part. If you trust the function, start with --isolation "
          "off.\n";
    return result;
  }
  return serve(development, *project, std::move(settings), *std::move(spawner));
}

}  // namespace seam::cli
