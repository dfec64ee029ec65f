#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>

#include "base/file_descriptor.h"
#include "cli/wasm_commands.h"
#include "cli/wasm_engines.h"
#include "cli/wasm_file.h"
#include "cli/wasm_guest.h"
#include "cli/wasm_measure.h"
#include "config/setting.h"
#include "wasm/module_info.h"

extern char** environ;

namespace seam::cli {
namespace {

constexpr std::size_t kInputBytesMax = 64U << 20U;
constexpr std::uint64_t kRepeatMax = 10'000;
constexpr milliseconds kDefaultTimeout{60'000};
constexpr std::string_view kCrashed = "crashed";  // an outcome, where no guest's word came

Result<std::string> read_all(int fd, std::string_view name, std::size_t bytes_max) {
  std::string bytes;
  std::array<char, 1U << 16U> part;  // NOLINT: filled by read()
  while (true) {
    const ssize_t count = ::read(fd, part.data(), part.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return fail_errno(name, errno);
    if (count == 0) return bytes;
    bytes.append(part.data(), static_cast<std::size_t>(count));
    if (bytes.size() > bytes_max)
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} has more than {} bytes.", name, bytes_max));
  }
}

// What the guests are given on standard input: nothing where that is a terminal.
Result<std::string> input_of_guests() {
  if (::isatty(STDIN_FILENO) == 1 || ::fcntl(STDIN_FILENO, F_GETFD) < 0) return std::string();
  return read_all(STDIN_FILENO, "standard input", kInputBytesMax);
}

// A file in memory with `bytes`, for one child to read.
Result<FileDescriptor> file_with(std::string_view bytes) {
  FileDescriptor file(::memfd_create("seam-input", MFD_CLOEXEC));
  if (!file) return fail_errno("memfd_create", errno);
  while (!bytes.empty()) {
    const ssize_t count = ::write(file.get(), bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) return fail_errno("memfd", errno);
    if (count > 0) bytes.remove_prefix(static_cast<std::size_t>(count));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("memfd", errno);
  return file;
}

struct Child {
  std::string out;
  int status = 0;  // of waitpid()
};

// This program with `arguments`, and `input` on its standard input; its standard error is ours.
Result<Child> run_this_program(std::vector<std::string> arguments, std::string_view input) {
  SEAM_ASSIGN_OR_RETURN(const FileDescriptor stdin_file, file_with(input));
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  const FileDescriptor from_child(ends[0]);
  FileDescriptor to_us(ends[1]);
  std::vector<char*> argv{const_cast<char*>("seam")};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, stdin_file.get(), STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, to_us.get(), STDOUT_FILENO);
  pid_t pid = 0;
  const int error = ::posix_spawn(&pid, "/proc/self/exe", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return fail_errno("seam: cannot start itself", error);
  to_us.reset();
  Result<std::string> out = read_all(from_child.get(), "an engine's process", kInputBytesMax);
  Child child;
  while (::waitpid(pid, &child.status, 0) < 0 && errno == EINTR) {
  }
  if (!out) return std::unexpected(std::move(out).error());
  child.out = *std::move(out);
  return child;
}

// One engine in a process of its own: so that its memory is its own, and a crash its own affair.
EngineRun run_apart(const wasm::EngineChoice& choice, const Arguments& arguments,
                    const Arguments& behind_dashes, std::string_view input) {
  EngineRun run{.engine = choice.engine, .mode = choice.mode};
  Arguments own{"wasm", "compare"};
  own.insert(own.end(), arguments.begin(), arguments.end());
  own.insert(own.end(), {"--json", "--engine=" + choice.engine});  // of two, the last counts
  if (!choice.mode.empty()) own.push_back("--mode=" + choice.mode);
  own.emplace_back("--");
  own.insert(own.end(), behind_dashes.begin(), behind_dashes.end());
  const Result<Child> child = run_this_program(std::move(own), input);
  if (!child) {
    run.outcome = kCrashed;
    run.message = child.error().message;
    return run;
  }
  if (WIFSIGNALED(child->status)) {
    run.outcome = kCrashed;
    run.message = fmt::format("the engine's process was ended by signal {} ({})",
                              WTERMSIG(child->status), ::strsignal(WTERMSIG(child->status)));
    return run;
  }
  // {"same":true,"runs":[RUN]}
  std::string_view out = child->out;
  const std::size_t begin = out.find("[{");
  const std::size_t end = out.rfind("}]");
  Result<EngineRun> told = begin == std::string_view::npos || end == std::string_view::npos
                               ? EngineRun::parse("")
                               : EngineRun::parse(out.substr(begin + 1, end - begin));
  if (told) return *std::move(told);
  run.outcome = kCrashed;
  run.message = fmt::format("{} (exit code {})", told.error().message, WEXITSTATUS(child->status));
  return run;
}

// The engines and modes that are wanted: all, or those of one engine, or just one.
wasm::Outcome<std::vector<wasm::EngineChoice>> wanted(const GuestOptions& guest) {
  std::vector<wasm::EngineChoice> all;
  if (!guest.mode.empty() || !guest.engine.empty()) {
    SEAM_ASSIGN_OR_RETURN(wasm::EngineChoice choice,
                          wasm_engines().choose(guest.engine, guest.mode));
    if (!guest.mode.empty() || wasm_engines().find(choice.engine)->modes.size() < 2) {
      all.push_back(std::move(choice));
      return all;
    }
  }
  for (const wasm::EngineAdapter& adapter : wasm_engines().all()) {
    if (!guest.engine.empty() && adapter.name != guest.engine) continue;
    if (adapter.modes.empty()) all.push_back({.engine = std::string(adapter.name)});
    for (const std::string_view mode : adapter.modes)
      all.push_back({.engine = std::string(adapter.name), .mode = std::string(mode)});
  }
  return all;
}

std::string title(const EngineRun& run) {
  return run.mode.empty() ? run.engine : run.engine + " " + run.mode;
}

// What ran, or was refused what others ran, by what must be the same.
std::map<std::string, std::vector<const EngineRun*>> verdicts(const std::vector<EngineRun>& runs) {
  std::map<std::string, std::vector<const EngineRun*>> groups;
  for (const EngineRun& run : runs) {
    if (run.not_loaded.empty()) groups[run.verdict()].push_back(&run);
  }
  return groups;
}

std::string in_mib(std::uint64_t bytes) {
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

std::string outcome_of(const EngineRun& run) {
  if (!run.refused.empty()) return "refused";
  return run.varies ? run.outcome + ", not the same each time" : run.outcome;
}

std::string show(const std::vector<EngineRun>& runs, bool same, std::uint64_t repeat,
                 const Style& style) {
  std::vector<std::vector<std::string>> table{
      {style.bold("ENGINE"), style.bold("OUTCOME"), style.bold("OUTPUT"), style.bold("COMPILE"),
       style.bold("START"), style.bold("RUN"), style.bold("GUEST MEMORY"),
       style.bold("PEAK MEMORY")}};
  std::string below;
  for (const EngineRun& run : runs) {
    if (!run.not_loaded.empty()) {
      below += fmt::format("{} cannot be loaded here: {}\n", title(run), run.not_loaded);
      continue;
    }
    if (!run.refused.empty() || run.output_hash.empty()) {
      table.push_back({title(run), style.bad(outcome_of(run))});
      below += fmt::format("{}: {}\n", title(run), run.refused.empty() ? run.message : run.refused);
      continue;
    }
    table.push_back({title(run), outcome_of(run),
                     fmt::format("{} ({} bytes)", run.output_hash.substr(0, 12), run.output_bytes),
                     fmt::format("{:.3f} ms", run.compile_ms),
                     fmt::format("{:.3f} ms", run.start_ms), fmt::format("{:.3f} ms", run.run_ms),
                     in_mib(run.guest_memory_bytes), in_mib(run.peak_memory_bytes)});
    if (!run.message.empty() && !run.outcome.starts_with("exit"))
      below += fmt::format("{}: {}\n", title(run), run.message);
  }
  std::string out = align(table);
  if (!below.empty()) out += "\n" + below;
  const auto groups = verdicts(runs);
  if (groups.empty()) return out + "\n" + style.bad("No engine ran it.") + "\n";
  if (same) {
    std::size_t count = 0;
    for (const auto& [verdict, members] : groups) count += members.size();
    out += fmt::format(
        "\n{} Times are medians of {}.\n",
        style.good(count == 1 ? "One engine ran." : fmt::format("All {} end alike.", count)),
        repeat);
    return out;
  }
  out += "\n" + style.bad("THE ENGINES DIFFER:") + "\n";
  for (const auto& [verdict, members] : groups) {
    std::string names;
    for (const EngineRun* run : members) names += (names.empty() ? "" : ", ") + title(*run);
    const EngineRun& run = *members.front();
    out += fmt::format("  {}: {}{}\n", names, outcome_of(run),
                       run.output_hash.empty()
                           ? ""
                           : fmt::format(", output {}{}", run.output_hash.substr(0, 12),
                                         run.results == "[]" ? "" : ", results " + run.results));
  }
  return out + "See what each of them prints: seam wasm run FILE --engine ENGINE --mode MODE\n";
}

std::string render(const std::vector<EngineRun>& runs, bool same) {
  std::string out = fmt::format(R"({{"same":{},"runs":[)", same);
  for (const EngineRun& run : runs) out += (&run == &runs.front() ? "" : ",") + run.render();
  return out + "]}\n";
}

}  // namespace

CommandResult wasm_compare(const Arguments& arguments, const CommandLineOptions& options) {
  Flags flags("wasm compare",
              "Runs a module on every engine that can be loaded, in each of its modes, each in a "
              "process of its own,\nand shows side by side how it ended, the digest of what it "
              "wrote, times and memory. Clock and random\nbytes are made up, the same for each; "
              "standard input goes to each.\nThe exit code is 1 where they do not end alike.",
              "seam wasm compare hello.wasm --repeat 20 < input.txt\n"
              "  seam wasm compare add.wat --invoke add 20 22");
  GuestFlags guest_flags(arguments);
  guest_flags.add(flags, "60000");
  std::string repeat_text = "5";
  bool json = false;
  flags.option("--repeat", repeat_text, "How often each runs it; times are medians (5)", "N");
  flags.flag("--json", json, "As JSON");
  if (auto stop = flags.parse(guest_flags.ours())) return *std::move(stop);
  Result<GuestOptions> guest = guest_flags.options();
  if (!guest) return refuse(guest.error());
  if (!guest->timeout) guest->timeout = kDefaultTimeout;
  const Result<std::int64_t> repeat = config::parse_bytes(repeat_text);
  if (!repeat || *repeat < 1 || static_cast<std::uint64_t>(*repeat) > kRepeatMax) {
    return refuse({ErrorCode::kInvalidArgument,
                   fmt::format("--repeat \"{}\": give a whole number from 1 to {}.",
                               config::shown(repeat_text), kRepeatMax),
                   {}});
  }
  const Result<WasmFile> file = read_wasm_file(guest->file);
  if (!file) return refuse(file.error());
  const Result<std::string_view> module = file->module();
  if (!module) return refuse(module.error());
  const auto choices = wanted(*guest);
  if (!choices) return refuse({ErrorCode::kInvalidArgument, of_flags(choices.error().message), {}});
  const std::string called = guest->invoke.empty() ? "_start" : guest->invoke;
  const wasm::Outcome<wasm::ModuleInfo> info = wasm::read_module_info(*module);
  if (info && info->find_export(called) == nullptr) {
    return refuse(
        {ErrorCode::kInvalidArgument,
         fmt::format("{} exports no {}, so there is nothing to run on any engine. {}. What "
                     "it exports: seam wasm inspect {}",
                     guest->file, config::shown(called),
                     guest->invoke.empty() ? "It is no command: name an export by --invoke"
                                           : "Name another by --invoke",
                     guest->file),
         {}});
  }
  const Result<std::string> input = input_of_guests();
  if (!input) return refuse(input.error());

  std::vector<EngineRun> runs;
  const auto count = static_cast<std::uint64_t>(*repeat);
  if (choices->size() == 1) {
    runs.push_back(measure(*guest, choices->front(), *module, *input, count));
  } else {
    for (const wasm::EngineChoice& choice : *choices) {
      runs.push_back(run_apart(choice, guest_flags.ours(), guest_flags.behind_dashes(), *input));
    }
  }
  const auto groups = verdicts(runs);
  const bool same = groups.size() == 1 && std::ranges::none_of(runs, &EngineRun::varies) &&
                    std::ranges::all_of(runs, [](const EngineRun& run) {
                      return run.refused.empty() && run.outcome != kCrashed;
                    });
  return {.exit_code = same ? kOk : kFailed,
          .out = json ? render(runs, same) : show(runs, same, count, options.style)};
}

}  // namespace seam::cli
