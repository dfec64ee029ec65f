// The way of a source: remembered or compiled beforehand; else the toolchain's version makes its
// key; else on disk by that key; else a compiler in a sandbox. All of it on home_, where a source
// that is asked for again while it is on this way joins those who wait.

#include "runtimes/rust/rust_compiler.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <utility>

#include "base/check.h"
#include "base/identifier.h"
#include "base/log.h"
#include "runtimes/harness_files.h"
#include "runtimes/limits.h"
#include "runtimes/rust/compiler_answer.h"
#include "runtimes/rust/rust_libraries.h"
#include "runtimes/rust/sandboxed_run.h"
#include "runtimes/worker_messages.h"

namespace seam::embedded {
std::string_view rust_compile_script();
std::string_view rust_glue();
std::string_view rust_bridge();
std::string_view rust_crates();
}  // namespace seam::embedded

namespace seam::runtimes {

namespace {

constexpr std::string_view kModuleCache = "rust";  // as its name for what made the modules
constexpr seconds kLibrariesTimeMax{600};
constexpr std::size_t kAnswerBytesMax = 64U << 20U;
constexpr std::uint64_t kDiskBytesMax = 256U << 20U;  // a library of all that a function could use
constexpr std::uint32_t kCpuWeight = 20;              // of a worker's 50: calls go before compilers

constexpr const char* kHarness = "/harness";
constexpr const char* kToolchain = "/toolchain";
constexpr const char* kLibraries = "/libraries";

// In the order in which guests/rust/CMakeLists.txt digests them.
std::array<HarnessFile, 4> harness_files() {
  return {{{.name = "compile.sh", .content = embedded::rust_compile_script()},
           {.name = "seam.rs", .content = embedded::rust_glue()},
           {.name = "bridge.rs", .content = embedded::rust_bridge()},
           {.name = "crates.tar", .content = embedded::rust_crates()}}};
}

std::string libraries_folder(const std::string& parent, const std::string& key) {
  return fmt::format("{}/{}", parent, key);
}

// A caller's end of waiting.
Error to_error(Wait::End end) {
  if (end == Wait::End::kDeadline)
    return {ErrorCode::kDeadlineExceeded, "its time was up while its source was compiled", {}};
  return {ErrorCode::kCancelled, "the caller is gone", {}};
}

}  // namespace

Result<std::unique_ptr<RustCompiler>> RustCompiler::start(RustCompilerOptions options,
                                                          process::Spawner& spawner) {
  const std::array<HarnessFile, 4> files = harness_files();
  std::error_code error;
  options.folder = std::filesystem::absolute(options.folder, error).string();
  if (error) return fail_errno("cannot resolve " + options.folder, error.value());
  SEAM_ASSIGN_OR_RETURN(std::string harness, write_harness(options.folder + "/harness", files));
  SEAM_ASSIGN_OR_RETURN(
      wasm::ModuleCache modules,
      wasm::ModuleCache::open(options.folder + "/modules", options.modules_bytes_max));
  std::string all;
  for (const HarnessFile& file : files) all += file.content;
  return std::unique_ptr<RustCompiler>(new RustCompiler(
      std::move(options), spawner, std::move(harness), sha256_hex(all), std::move(modules)));
}

RustCompiler::RustCompiler(RustCompilerOptions options, process::Spawner& spawner,
                           std::string harness, std::string harness_digest,
                           wasm::ModuleCache modules)
    : options_(std::move(options)),
      spawner_(spawner),
      harness_(std::move(harness)),
      harness_digest_(std::move(harness_digest)),
      modules_(std::move(modules)),
      compilers_(options_.at_once_max, kRustCompilesWaitingMax),
      thread_([this] { home_.run(); }) {}

RustCompiler::~RustCompiler() {
  stop_.request_stop();
  home_.stop();
  thread_.join();
}

RuntimeHealth RustCompiler::health() const {
  const Result<RustToolchain> found = find_rust_toolchain(options_.toolchains);
  if (found) {
    return {.up = true,
            .detail = fmt::format("{}/bin/rustc for {}, linked by {}", found->folder, found->target,
                                  found->linker)};
  }
  return {.up = false,
          .configured = options_.toolchain_wanted,
          .detail = "new sources cannot be compiled: " + found.error().message};
}

Task<Result<RustCompiler::Module>> RustCompiler::module(ProgramPtr program, Deadline deadline,
                                                        std::stop_token cancelled) {
  const auto wait = std::make_shared<Wait>(*EventLoop::current());
  auto joined = std::make_shared<std::shared_ptr<Compilation>>();
  home_.post([this, program, joined, wait] { join(program, joined.get(), wait); });
  const Wait::End how = co_await Wait::until(wait, deadline, std::move(cancelled));
  if (how != Wait::End::kReady) co_return std::unexpected(to_error(how));
  co_return *(*joined)->outcome;
}

void RustCompiler::join(ProgramPtr program, std::shared_ptr<Compilation>* joined,
                        std::shared_ptr<Wait> wait) {
  std::shared_ptr<Compilation>& compilation = compiling_[program->hash];
  const bool first = compilation == nullptr;
  if (first) compilation = std::make_shared<Compilation>();
  *joined = compilation;
  compilation->waiting.push_back(std::move(wait));
  if (!first) return;
  compilation->program = std::move(program);
  seam::start(compile(compilation));
}

Task<> RustCompiler::compile(std::shared_ptr<Compilation> compilation) {
  compilation->outcome = co_await make(compilation->program);
  compiling_.erase(compilation->program->hash);
  for (const std::shared_ptr<Wait>& wait : compilation->waiting) wait->end(Wait::End::kReady);
  compilation->waiting.clear();
}

Task<Result<RustCompiler::Module>> RustCompiler::make(ProgramPtr program) {
  const auto precompiled = options_.precompiled.find(program->hash);
  if (precompiled != options_.precompiled.end())
    co_return std::make_shared<const std::string>(precompiled->second);
  SEAM_CO_ASSIGN_OR_RETURN(const std::shared_ptr<const Prepared> prepared, co_await prepare());
  if (const auto known = errors_.find(program->hash); known != errors_.end())
    co_return std::unexpected(known->second);
  const std::string key = sha256_hex(fmt::format("{}\n{}", prepared->key, program->content));
  if (std::optional<std::string> kept = modules_.find(kModuleCache, key))
    co_return std::make_shared<const std::string>(*std::move(kept));

  const Gate::Entry entry = co_await compilers_.enter(Deadline::never(), stop_.get_token());
  if (entry == Gate::Entry::kFull) {
    co_return fail(ErrorCode::kUnavailable,
                   fmt::format("{} sources wait to be compiled already", kRustCompilesWaitingMax));
  }
  if (entry != Gate::Entry::kEntered) co_return fail(ErrorCode::kCancelled, "the server ends");
  Result<Module> made = co_await run_compiler(prepared, program->content, key);
  compilers_.leave();
  if (!made && made.error().code == ErrorCode::kInvalidArgument)
    remember_error(program->hash, made.error());
  co_return made;
}

Task<Result<RustCompiler::Module>> RustCompiler::run_compiler(
    std::shared_ptr<const Prepared> prepared, std::string source, std::string key) {
  process::WorkerSpec spec = spec_for(prepared->toolchain, "function");
  spec.binds.push_back({.host_path = prepared->libraries, .sandbox_path = kLibraries});
  spec.environment.push_back(fmt::format("SEAM_LIBRARIES={}", kLibraries));
  ++started_;
  Result<SandboxedRun> run = co_await run_sandboxed(
      home_, spawner_, std::move(spec), std::move(source),
      {.time_max = options_.time_max, .answer_bytes_max = kAnswerBytesMax}, stop_.get_token());
  if (!run) {
    Error error = std::move(run).error();
    if (error.code == ErrorCode::kDeadlineExceeded) {
      error.message = fmt::format(
          "the source was not compiled within {} s (runtimes.rust.compile_timeout_seconds)",
          options_.time_max.count());
    } else if (error.code == ErrorCode::kResourceExhausted) {
      error.message =
          fmt::format("the compiled source is larger than {} MiB", kAnswerBytesMax >> 20U);
      error.code = ErrorCode::kInvalidArgument;
    } else if (error.code != ErrorCode::kCancelled) {
      ++start_failures_;
    }
    co_return std::unexpected(std::move(error));
  }
  if (run->exit.memory_exceeded) {
    co_return fail(ErrorCode::kInvalidArgument,
                   fmt::format("compiling the source takes more than {} MiB "
                               "(runtimes.rust.compile_memory_bytes_max)",
                               options_.memory_bytes_max >> 20U));
  }
  SEAM_CO_ASSIGN_OR_RETURN(const CompilerAnswer answer, CompilerAnswer::parse(run->answer));
  const std::string* const module = answer.find("module");
  if (answer.whole && module != nullptr) {
    const Result<> kept = modules_.keep(kModuleCache, key, *module);
    if (!kept) log_warning("a compiled function is not kept: {}", kept.error().message);
    co_return std::make_shared<const std::string>(*module);
  }
  if (const std::string* json = answer.find("function.json"))
    co_return std::unexpected(read_diagnostics(*json, DiagnosedFile::kFunction));
  if (const std::string* json = answer.find("bridge.json"))
    co_return std::unexpected(read_diagnostics(*json, DiagnosedFile::kBridge));
  if (const std::string* text = answer.find("linker.txt"))
    co_return std::unexpected(read_linker_output(*text));
  ++start_failures_;
  co_return fail(ErrorCode::kUnavailable,
                 fmt::format("the Rust compiler's sandbox {}; it wrote: {}",
                             describe_exit(run->exit), printable_tail(run->tail)));
}

Task<Result<std::shared_ptr<const RustCompiler::Prepared>>> RustCompiler::prepare() {
  const Gate::Entry entry = co_await preparing_.enter(Deadline::never(), stop_.get_token());
  if (entry != Gate::Entry::kEntered) co_return fail(ErrorCode::kCancelled, "the server ends");
  Result<std::shared_ptr<const Prepared>> prepared = co_await prepare_alone();
  preparing_.leave();
  co_return prepared;
}

Task<Result<std::shared_ptr<const RustCompiler::Prepared>>> RustCompiler::prepare_alone() {
  Result<RustToolchain> found = find_rust_toolchain(options_.toolchains);
  if (!found) {
    co_return fail(ErrorCode::kFailedPrecondition,
                   "Rust cannot be compiled here: " + found.error().message);
  }
  // A compiler that was put in its place makes other code, and cannot read the old one's libraries.
  std::error_code error;
  const auto changed_at = std::filesystem::last_write_time(found->folder + "/bin/rustc", error);
  if (prepared_ && prepared_->toolchain == *found && prepared_->changed_at == changed_at)
    co_return prepared_;
  prepared_.reset();
  errors_.clear();
  errors_in_order_.clear();
  SEAM_CO_ASSIGN_OR_RETURN(const std::string version, co_await ask_version(*found));
  Prepared prepared{
      .toolchain = *std::move(found),
      .changed_at = changed_at,
      .key = {},
      .libraries = {},
  };
  prepared.key =
      sha256_hex(fmt::format("{}{}\n{}\n", version, prepared.toolchain.target, harness_digest_));
  prepared.libraries = libraries_folder(prepared.toolchain.folder + "/lib/seam", prepared.key);
  if (!is_whole_library_folder(prepared.libraries)) {
    prepared.libraries = libraries_folder(options_.folder + "/libraries", prepared.key);
    if (!is_whole_library_folder(prepared.libraries)) {
      Result<void> made = co_await make_libraries(prepared);
      SEAM_CO_RETURN_IF_ERROR(std::move(made));
    }
  }
  prepared_ = std::make_shared<const Prepared>(std::move(prepared));
  co_return prepared_;
}

Task<Result<std::string>> RustCompiler::ask_version(RustToolchain toolchain) {
  SEAM_CO_ASSIGN_OR_RETURN(
      const SandboxedRun run,
      co_await run_sandboxed(home_, spawner_, spec_for(toolchain, "version"), {},
                             {.time_max = kWorkerStartMax, .answer_bytes_max = kOutputTailBytes},
                             stop_.get_token()));
  SEAM_CO_ASSIGN_OR_RETURN(const CompilerAnswer answer, CompilerAnswer::parse(run.answer));
  const std::string* const version = answer.find("version");
  if (answer.whole && version != nullptr) co_return *version;
  co_return fail(ErrorCode::kFailedPrecondition,
                 fmt::format("{}/bin/rustc does not run in the sandbox, which {}; it wrote: {}",
                             toolchain.folder, describe_exit(run.exit), printable_tail(run.tail)));
}

Task<Result<void>> RustCompiler::make_libraries(const Prepared& prepared) {
  log_info("compiling the libraries of functions in Rust, once for {}", prepared.toolchain.folder);
  SEAM_CO_ASSIGN_OR_RETURN(
      const SandboxedRun run,
      co_await run_sandboxed(home_, spawner_, spec_for(prepared.toolchain, "libraries"), {},
                             {.time_max = kLibrariesTimeMax, .answer_bytes_max = kAnswerBytesMax},
                             stop_.get_token()));
  SEAM_CO_ASSIGN_OR_RETURN(const CompilerAnswer answer, CompilerAnswer::parse(run.answer));
  if (!answer.whole) {
    co_return fail(
        ErrorCode::kFailedPrecondition,
        fmt::format("{}/bin/rustc cannot compile the libraries of functions; it wrote: {}",
                    prepared.toolchain.folder, printable_tail(run.tail)));
  }
  co_return keep_libraries(prepared.libraries, answer.files);
}

process::WorkerSpec RustCompiler::spec_for(const RustToolchain& toolchain,
                                           std::string_view word) const {
  std::string linker = toolchain.linker;
  if (linker.starts_with(toolchain.folder + "/"))
    linker = kToolchain + linker.substr(toolchain.folder.size());
  process::WorkerSpec spec;
  spec.name = "rustc";
  spec.argv = {"/usr/bin/sh", fmt::format("{}/compile.sh", kHarness), std::string(word)};
  spec.environment = {
      "PATH=/usr/bin:/bin",
      "HOME=/tmp",
      "LANG=C.UTF-8",
      fmt::format("SEAM_HARNESS={}", kHarness),
      fmt::format("SEAM_TOOLCHAIN={}", kToolchain),
      fmt::format("SEAM_TARGET={}", toolchain.target),
      fmt::format("SEAM_LINKER={}", linker),
  };
  spec.binds = {{.host_path = harness_, .sandbox_path = kHarness},
                {.host_path = toolchain.folder, .sandbox_path = kToolchain}};
  spec.limits.memory_bytes_max = options_.memory_bytes_max;
  spec.limits.disk_bytes_max = kDiskBytesMax;
  spec.limits.cpu_weight = kCpuWeight;
  spec.starts_programs = true;
  return spec;
}

void RustCompiler::remember_error(const std::string& hash, const Error& error) {
  if (!errors_.emplace(hash, error).second) return;
  errors_in_order_.push_back(hash);
  if (errors_in_order_.size() <= kRustErrorsKeptMax) return;
  errors_.erase(errors_in_order_.front());
  errors_in_order_.pop_front();
}

Task<> RustCompiler::shut_down() {
  EventLoop* const caller = EventLoop::current();
  CHECK(caller != nullptr);
  stop_.request_stop();
  co_await home_.schedule();
  while (!compiling_.empty()) co_await home_.sleep(Deadline::after(kTick));
  co_await caller->schedule();
}

}  // namespace seam::runtimes
