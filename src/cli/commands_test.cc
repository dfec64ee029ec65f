#include "cli/commands.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/event_loop.h"
#include "base/identifier.h"
#include "base/json_text.h"
#include "cli/command_line.h"
#include "http/server.h"

namespace seam::cli {
namespace {

CommandResult run_with(const std::vector<std::string>& arguments,
                       config::Environment environment = {}) {
  environment.emplace("HOME", "/home/ann");
  environment.emplace("XDG_DATA_HOME", "/data");
  return run(arguments, {.serve = [](const LoadedSettings& loaded,
                                     bool json) { return loaded.settings.port + (json ? 1 : 0); },
                         .environment = std::move(environment)});
}

TEST(CommandLine, HelpIsShortAndNamesEachCommand) {
  const CommandResult help = run_with({"--help"});
  EXPECT_EQ(help.exit_code, kOk);
  EXPECT_LT(std::ranges::count(help.out, '\n'), 24);
  for (const char* command : {"new", "run", "serve", "invoke", "config", "doctor", "version"}) {
    EXPECT_TRUE(help.out.contains(fmt::format("\n  {} ", command))) << command;
    const CommandResult own = run_with({command, "--help"});
    EXPECT_EQ(own.exit_code, kOk) << command;
    EXPECT_TRUE(own.out.contains(fmt::format("seam {}", command))) << own.out;
    EXPECT_TRUE(own.out.contains("Example:")) << own.out;
  }
  EXPECT_EQ(run_with({}).exit_code, kUsage);
  EXPECT_EQ(run_with({}).error, help.out);
}

TEST(CommandLine, RareSettingsAreInTheHelpOfConfigOnly) {
  EXPECT_FALSE(run_with({"serve", "--help"}).out.contains("--http-idle-timeout-seconds"));
  EXPECT_TRUE(run_with({"serve", "--help"}).out.contains("--port"));
  EXPECT_TRUE(run_with({"config", "--help"}).out.contains("--http-idle-timeout-seconds"));
  EXPECT_EQ(run_with({"serve", "--http-idle-timeout-seconds", "5", "--port=7"}).exit_code, 7);
}

TEST(CommandLine, ClientsShowNoFlagsOfTheServer) {
  for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
           {"invoke"}, {"deploy"}, {"calls"}, {"logs"}, {"functions", "list"}, {"health"}}) {
    std::vector<std::string> arguments = command;
    arguments.emplace_back("--help");
    const std::string help = run_with(arguments).out;
    EXPECT_TRUE(help.contains("--url")) << help;
    EXPECT_TRUE(help.contains("--config")) << help;
    EXPECT_FALSE(help.contains("--host")) << help;
    EXPECT_FALSE(help.contains("--port")) << help;
  }
  // Taken all the same, as every setting is.
  EXPECT_TRUE(run_with({"health", "--live", "--port", "1"}).error.contains("127.0.0.1:1"));
}

TEST(CommandLine, MistakesSuggestTheNearest) {
  const auto error = [](const std::vector<std::string>& arguments) {
    const CommandResult result = run_with(arguments);
    EXPECT_EQ(result.exit_code, kUsage);
    EXPECT_EQ(result.out, "");
    return result.error;
  };
  EXPECT_EQ(error({"serv"}), "seam serv: no such command. Did you mean `seam serve`?\n");
  EXPECT_EQ(error({"elephant"}), "seam elephant: no such command. See `seam --help`.\n");
  EXPECT_EQ(error({"serve", "--prot", "1"}), "flag --prot: no such flag. Did you mean --port?\n");
  EXPECT_EQ(error({"version", "--jsn"}), "flag --jsn: no such flag. Did you mean --json?\n");
  EXPECT_EQ(error({"invoke", "nodejs-a", "--prams", "{}"}),
            "flag --prams: no such flag. Did you mean --params?\n");
  EXPECT_EQ(error({"serve", "now"}), "\"now\" is not expected here.\n");
  EXPECT_EQ(error({"serve", "--rate-limits", "standard"}),
            "flag --rate-limits: rate limits are not in this build. Remove it: workers and queues "
            "alone bound the calls.\n");
  EXPECT_EQ(
      error({"serve", "--port", "http"}),
      "flag --port: port: \"http\" is not a whole number. Give a whole number from 0 to 65535.\n");
  EXPECT_EQ(error({"serve", "--port"}), "flag --port: needs a value.\n");
}

TEST(CommandLine, AWrongUrlIsToldBeforeAnythingElseIsDone) {
  const std::vector<std::vector<std::string>> commands{
      {"deploy", "/nowhere"}, {"invoke", "nodejs-a"},           {"calls"},
      {"logs", "-f"},         {"functions", "get", "nodejs-a"}, {"health"}};
  for (std::vector<std::string> arguments : commands) {
    arguments.insert(arguments.end(), {"--url", "localhost:8080/"});
    const CommandResult result = run_with(arguments);
    EXPECT_EQ(result.exit_code, kUsage) << arguments.front();
    EXPECT_EQ(result.error,
              "--url: 'localhost:8080' is not a URL to fetch: it must begin with http://. Give one "
              "such as --url http://127.0.0.1:8080.\n")
        << arguments.front();
  }
}

TEST(CommandLine, ServeGetsItsSettings) {
  EXPECT_EQ(run_with({"serve", "--port", "9"}).exit_code, 9);
  EXPECT_EQ(run_with({"serve", "--port", "9", "--json"}).exit_code, 10);
  EXPECT_EQ(run_with({"serve", "--port", "9", "--port", "11"}).exit_code, 11);
  EXPECT_EQ(run_with({"serve"}, {{"PORT", "12"}}).exit_code, 12);
}

TEST(ConfigCommand, TableShowsValueAndSource) {
  const CommandResult result =
      run_with({"config", "--port", "9000"}, {{"SESSION_EXPIRY_SECONDS", "60"}});
  EXPECT_EQ(result.exit_code, kOk);
  const auto line = [&](std::string_view key) {
    const auto at = result.out.find(fmt::format("\n{} ", key));
    return result.out.substr(at + 1, result.out.find('\n', at + 1) - at - 1);
  };
  EXPECT_TRUE(line("port").contains("  9000  ")) << line("port");
  EXPECT_TRUE(line("port").ends_with("  flag --port")) << line("port");
  EXPECT_TRUE(line("sessions.expiry_seconds").ends_with("  environment SESSION_EXPIRY_SECONDS"));
  EXPECT_TRUE(line("limits.params_bytes_max").contains("  6MiB  "));
  EXPECT_TRUE(line("data").contains(::geteuid() == 0 ? "/var/lib/seam" : "/data/seam"));
  EXPECT_TRUE(result.out.contains("{pattern: ^js-, runtime: nodejs}\n"));
  EXPECT_FALSE(result.out.contains('\x1b'));
  EXPECT_EQ(line("host").find("default"), line("port").find("flag")) << "columns are aligned";
}

TEST(ConfigCommand, JsonIsJson) {
  const CommandResult result = run_with({"config", "--json", "--port", "9000"});
  const Result<std::string_view> json = check_json(result.out);
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_TRUE(result.out.contains(
      "\"key\": \"port\",\n      \"value\": 9000,\n      \"source\": \"flag --port\""))
      << result.out;
  EXPECT_TRUE(result.out.contains("\"value\": \"127.0.0.1\""));
}

TEST(ConfigCommand, MarkdownHasEverySetting) {
  const std::string out = run_with({"config", "--markdown"}).out;
  for (const config::Setting& setting : descriptors())
    EXPECT_TRUE(out.contains("| `" + setting.key + "` | `--"));
  EXPECT_TRUE(out.contains("| `database.url` | `DATABASE_URL` | PostgreSQL is not in this build."));
}

TEST(VersionCommand, TellsWhatTheBuildIsMadeOf) {
  const CommandResult text = run_with({"version"});
  EXPECT_TRUE(text.out.starts_with(fmt::format("seam {}\n", version()))) << text.out;
  EXPECT_TRUE(text.out.contains("\ncompiler  clang 19")) << text.out;
  const std::string json = run_with({"--version", "--json"}).out;
  ASSERT_TRUE(check_json(json));
  EXPECT_TRUE(json.contains("\"wasmtime\": \"48")) << json;
}

TEST(Output, IndentsJsonAndLeavesTheRest) {
  EXPECT_EQ(indent_json(R"({"a":[1,{"b":3.0}],"c" : "x, {y}: \" [" })"),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": 3.0\n    }\n  ],\n  \"c\": \"x, {y}: \\\" "
            "[\"\n}");
  EXPECT_EQ(indent_json("[ ]"), "[]");
  EXPECT_EQ(indent_json("{}"), "{}");
  EXPECT_EQ(indent_json("[{},[\n]]"), "[\n  {},\n  []\n]");
  EXPECT_EQ(indent_json("18446744073709551616"), "18446744073709551616");
}

TEST(Output, AlignsByWhatIsSeen) {
  EXPECT_EQ(align({{"a", "b"}, {"éé", "c"}}), "a   b\néé  c\n");
  EXPECT_EQ(align({{Style{.color = true}.good("ok"), "b"}, {"weak", "c"}}),
            "\x1b[32mok\x1b[0m    b\nweak  c\n");
  EXPECT_EQ(align({{std::string(50, 'x'), "b"}, {"y", "c"}}), std::string(50, 'x') + "  b\ny  c\n");
}

process::IsolationReport report_with(bool seccomp) {
  process::IsolationReport report;
  report.cgroup_version = "none";
  report.layers = {{.name = "seccomp",
                    .in_force = seccomp,
                    .essential = true,
                    .detail = seccomp ? "a filter" : "the kernel has none",
                    .meaning = "a worker could make any system call"},
                   {.name = "cgroup memory",
                    .in_force = false,
                    .essential = false,
                    .detail = "no controller",
                    .meaning = "rlimits alone bound memory"}};
  return report;
}

// Settings with which everything but the isolation is in order here.
Settings sound_settings() {
  Settings settings;
  settings.host = "127.0.0.1";
  settings.port = 0;
  settings.data = std::filesystem::temp_directory_path() / "seam-doctor" / "not-made";
  settings.node.command = "/usr/bin/env";  // answers --version as interpreters do
  settings.python.command = "/usr/bin/env";
  settings.wasm.engine = "wasmtime";
  return settings;
}

const Check& check_of(const std::vector<Check>& checks, std::string_view name) {
  return *std::ranges::find(checks, name, &Check::name);
}

TEST(DoctorCommand, SaysWhetherAServerCanRun) {
  const std::vector<Check> sound = run_checks(sound_settings(), report_with(true));
  const CommandResult weak = show_checks(sound, {});
  EXPECT_EQ(weak.exit_code, kOk) << weak.out;
  EXPECT_TRUE(weak.out.contains("ok    seccomp")) << weak.out;
  EXPECT_TRUE(weak.out.contains("weak  cgroup memory     no controller\n")) << weak.out;
  EXPECT_TRUE(weak.out.contains("without it rlimits alone bound memory")) << weak.out;
  EXPECT_TRUE(weak.out.contains("Seam can run here, with the weak points above.")) << weak.out;

  const CommandResult broken = show_checks(run_checks(sound_settings(), report_with(false)), {});
  EXPECT_EQ(broken.exit_code, kFailed);
  EXPECT_TRUE(broken.out.contains("BAD   seccomp")) << broken.out;
  const CommandResult json = show_checks_json(run_checks(sound_settings(), report_with(false)));
  EXPECT_EQ(json.exit_code, kFailed);
  ASSERT_TRUE(check_json(json.out));
  EXPECT_TRUE(json.out.starts_with("{\n  \"ok\": false,")) << json.out;
}

TEST(DoctorCommand, IsolationOffIsSaidAndNotRefused) {
  Settings settings = sound_settings();
  settings.isolation = process::Isolation::kOff;
  const CommandResult result = show_checks(run_checks(settings, report_with(false)), {});
  EXPECT_EQ(result.exit_code, kOk) << result.out;
  EXPECT_TRUE(result.out.contains("is off: functions run as plain processes")) << result.out;
}

TEST(DoctorCommand, FindsAnEngineThatCannotBeLoaded) {
  Settings settings = sound_settings();
  EXPECT_TRUE(check_of(run_checks(settings, report_with(true)), "wasmtime").ok);
  settings.wasm.engine = "wasmi";
  settings.wasm.engines = "/no/such/folder";
  const std::vector<Check> alone = run_checks(settings, report_with(true));
  EXPECT_FALSE(check_of(alone, "wasmi").ok);
  EXPECT_TRUE(check_of(alone, "wasmi").essential);
  EXPECT_TRUE(check_of(alone, "wasmi").detail.starts_with("cannot be loaded: "));
  settings.wasm.fallback = "wasmtime";
  const std::vector<Check> with_fallback = run_checks(settings, report_with(true));
  EXPECT_FALSE(check_of(with_fallback, "wasmi").essential);
  EXPECT_TRUE(check_of(with_fallback, "wasmtime").ok);
}

TEST(DoctorCommand, FindsInterpretersThatCannotBeUsed) {
  Settings settings = sound_settings();
  settings.node.command = "/usr/bin/no-such-node";
  settings.python.command = "/usr/bin/false";
  const std::vector<Check> checks = run_checks(settings, report_with(true));
  EXPECT_FALSE(check_of(checks, "node").ok);
  EXPECT_EQ(check_of(checks, "node").detail, "/usr/bin/no-such-node: No such file or directory");
  EXPECT_EQ(check_of(checks, "node").remedy, "install nodejs, or set runtimes.node.command");
  EXPECT_EQ(check_of(checks, "python").detail, "/usr/bin/false: --version failed");

  // Goal: a program that works here and that no worker could see. Method: a copy outside /usr.
  const std::filesystem::path copy =
      std::filesystem::temp_directory_path() / fmt::format("seam-{}", random_uuid());
  std::filesystem::copy_file("/usr/bin/env", copy);
  settings.node.command = copy;
  const std::vector<Check> hidden = run_checks(settings, report_with(true));
  std::filesystem::remove(copy);
  EXPECT_FALSE(check_of(hidden, "node").ok);
  EXPECT_TRUE(check_of(hidden, "node").detail.contains("not below /usr, so no worker sees it"));
}

TEST(DoctorCommand, FindsADataDirectoryThatIsNone) {
  Settings settings = sound_settings();
  settings.data = "/dev/null/data";
  const std::vector<Check> checks = run_checks(settings, report_with(true));
  const Check& data = check_of(checks, "data directory");
  EXPECT_FALSE(data.ok);
  EXPECT_EQ(data.detail, "/dev/null/data: /dev/null is not a directory");
}

// A server whose one function answers what its params hold, so that each test says what it wants.
class InvokeCommand : public testing::Test, public http::Voice {
 protected:
  InvokeCommand() {
    routes_.add({.method = http::Method::kPost,
                 .path = "/api/v1/functions/{language_title}/invoke",
                 .operation = "invoke",
                 .summary = "Answers as its params say.",
                 .responses = {},
                 .body_bytes_max = 1 << 20,
                 .parameters = {}},
                http::bind(this, &InvokeCommand::answer));
    routes_.add({.method = http::Method::kGet,
                 .path = "/livez",
                 .operation = "livez",
                 .summary = "Lives.",
                 .responses = {},
                 .parameters = {}},
                http::bind(this, &InvokeCommand::live));
    EventLoop* loops[] = {&loop_};
    http::ServerOptions options;
    options.port = 0;
    server_ = std::make_unique<http::Server>(options, routes_, *this, loops);
    const Result<void> listening = server_->listen();
    EXPECT_TRUE(listening) << listening.error().message;
    thread_ = std::thread([this] { loop_.run(); });
  }
  ~InvokeCommand() override {
    loop_.stop();
    thread_.join();
  }

  http::Response refuse(const http::Request*, const http::Refusal& refusal) override {
    return http::Response::json(refusal.status, "{}");
  }
  std::optional<http::Response> admit(const http::Request&) override { return std::nullopt; }
  void finish(const http::Request&, http::Response&) override {}

  Task<http::Response> live(http::Request&) { co_return http::Response::json(200, "{}"); }
  Task<http::Response> answer(http::Request&, http::Path<"language_title">, http::JsonBody body) {
    const auto request = JsonObjectText::parse(body.text);
    const auto params = JsonObjectText::parse(*request->find("params"));
    const auto status = params->find("status");
    co_return http::Response::json(status ? std::stoi(std::string(*status)) : 200,
                                   std::string(params->find("answer").value_or("{}")));
  }

  CommandResult invoke_with(const std::string& params, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{"invoke", "nodejs-a", "--params",
                                       params,   "--port",   std::to_string(server_->port())};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_with(arguments);
  }

  EventLoop loop_{"test"};
  http::RouteTable routes_;
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

TEST_F(InvokeCommand, PrintsTheResultOnStdoutAndTheRestOnStderr) {
  const std::string params =
      R"({"answer": {"result": {"x": 3.0}, "call_id": "c-1", "language_title": "nodejs-a", "execution_time": 12.345, "cached": false}})";
  const CommandResult result = invoke_with(params);
  EXPECT_EQ(result.exit_code, kOk);
  EXPECT_EQ(result.out, "{\n  \"x\": 3.0\n}\n");
  EXPECT_EQ(result.error, "nodejs-a took 12.345 ms (call c-1)\n");
  const CommandResult json = invoke_with(params, {"--json"});
  EXPECT_EQ(
      json.out,
      R"({"result": {"x": 3.0}, "call_id": "c-1", "language_title": "nodejs-a", "execution_time": 12.345, "cached": false})"
      "\n");
  EXPECT_EQ(json.error, "");
}

TEST_F(InvokeCommand, TellsWhereAFunctionFailed) {
  const CommandResult result = invoke_with(
      R"json({"status": 500, "answer": {"request_id": "r", "error": {"code": "RUNTIME_ERROR",
          "message": "x is not defined", "details": {"call_id": "c-1", "line": 3, "column": 7,
          "stack_trace": "at handler (function.js:3:7)"}}}})json");
  EXPECT_EQ(result.exit_code, kFailed);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.error,
            "RUNTIME_ERROR: x is not defined\n  at line 3, column 7\n  call_id: c-1\nat handler "
            "(function.js:3:7)\n");
}

TEST_F(InvokeCommand, AnErrorIsHeadedByItsType) {
  const CommandResult result = invoke_with(
      R"json({"status": 500, "answer": {"request_id": "r", "error": {"code": "RUNTIME_ERROR",
          "message": "'title'", "details": {"call_id": "c-1", "kind": "threw", "type": "KeyError",
          "line": 2}}}})json");
  EXPECT_EQ(result.error,
            "RUNTIME_ERROR: KeyError: 'title'\n  at line 2\n  call_id: c-1\n  kind: threw\n");
}

TEST_F(InvokeCommand, ExitCodesFollowTheError) {
  const auto code = [&](std::string_view error, int status) {
    return invoke_with(
               fmt::format(
                   R"({{"status": {}, "answer": {{"error": {{"code": "{}", "message": "m"}}}}}})",
                   status, error))
        .exit_code;
  };
  EXPECT_EQ(code("TIMEOUT", 504), kFailed);
  EXPECT_EQ(code("INTERNAL_ERROR", 500), kFailed);
  EXPECT_EQ(code("NOT_FOUND", 404), kUsage);
  EXPECT_EQ(code("INVALID_REQUEST", 400), kUsage);
  EXPECT_EQ(code("INVALID_PARAMS", 400), kUsage);
  EXPECT_EQ(code("UNAVAILABLE", 503), kUnreachable);
  EXPECT_EQ(invoke_with(R"({"status": 502, "answer": []})").exit_code, kFailed);
  EXPECT_EQ(invoke_with(R"({"answer": {}})").error,
            "The server answered 200 without a result:\n{}\n");
}

TEST_F(InvokeCommand, ReadsParamsFromAFile) {
  const std::filesystem::path file =
      std::filesystem::temp_directory_path() / fmt::format("seam-{}", random_uuid());
  std::ofstream(file) << R"({"answer": {"result": 1}})";
  EXPECT_EQ(invoke_with("@" + file.string()).out, "1\n");
  std::filesystem::remove(file);
  EXPECT_EQ(invoke_with("@" + file.string()).error,
            fmt::format("--params @{}: No such file or directory\n", file.string()));
}

TEST_F(InvokeCommand, RefusesWhatCannotBeSent) {
  EXPECT_EQ(invoke_with("{").exit_code, kUsage);
  EXPECT_TRUE(invoke_with("{").error.starts_with("--params is not JSON: "))
      << invoke_with("{").error;
  const auto error = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "invoke");
    return run_with(arguments).error;
  };
  EXPECT_EQ(error({}), "Give the name of a function, or --session with the id of one.\n");
  EXPECT_EQ(error({"nodejs-a", "--session", "x"}),
            "Give the name of a function, or --session with the id of one.\n");
  EXPECT_EQ(error({"--session", "x"}),
            "--session x: not a session's id. Give the request_id that initialize answered.\n");
  EXPECT_EQ(
      error({"nodejs/../a"}),
      "nodejs/../a: not a function's name. Write <language>-<title>, such as nodejs-calculator.\n");
}

TEST_F(InvokeCommand, DoctorKnowsAServedPort) {
  Settings settings = sound_settings();
  settings.port = server_->port();
  const std::vector<Check> checks = run_checks(settings, report_with(true));
  EXPECT_TRUE(check_of(checks, "port").ok);
  EXPECT_TRUE(check_of(checks, "port").detail.ends_with("is served already, and answers /livez"));
}

TEST(InvokeWithoutServer, SaysHowToStartOne) {
  // Goal: a port that nobody serves. Method: one that is bound and does not listen.
  const int holder = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::bind(holder, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(holder, reinterpret_cast<sockaddr*>(&address), &size), 0);
  const std::string url = fmt::format("http://127.0.0.1:{}", ntohs(address.sin_port));
  const CommandResult result = run_with({"invoke", "nodejs-a", "--url", url + "/"});
  ::close(holder);
  EXPECT_EQ(result.exit_code, kUnreachable);
  EXPECT_TRUE(result.error.starts_with("No answer from " + url)) << result.error;
  EXPECT_TRUE(result.error.ends_with("Start it: seam serve\n")) << result.error;
}

}  // namespace
}  // namespace seam::cli
