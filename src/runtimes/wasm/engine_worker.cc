#include "runtimes/wasm/engine_worker.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>

#include "base/identifier.h"
#include "base/json_text.h"
#include "process/frames.h"
#include "runtimes/wasm/guest_call.h"
#include "runtimes/worker_messages.h"
#include "runtimes/worker_protocol.h"
#include "wasm/wasi.h"

namespace seam::runtimes {

namespace {

constexpr int kNonsense = 70;  // as the other harnesses
constexpr milliseconds kSlice{1000};
constexpr std::size_t kLogTextBytesMax = kLogFrameBytesMax - 1;

// Reads a payload from its front. What is not there makes it fail for good.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  std::uint64_t number(std::size_t bytes) {
    std::uint64_t value = 0;
    const std::string_view text = take(bytes);
    for (std::size_t i = text.size(); i-- > 0;)
      value = value << 8U | static_cast<unsigned char>(text[i]);
    return value;
  }
  std::string_view take(std::size_t bytes) {
    failed_ = failed_ || bytes > rest_.size();
    if (failed_) return {};
    const std::string_view taken = rest_.substr(0, bytes);
    rest_.remove_prefix(bytes);
    return taken;
  }
  // A text with its length in front.
  std::string_view text() { return take(static_cast<std::size_t>(number(4))); }
  std::string_view rest() const { return rest_; }
  bool failed() const { return failed_; }

 private:
  std::string_view rest_;
  bool failed_ = false;
};

Result<std::uint64_t> number_member(const JsonObjectText& object, std::string_view name) {
  const std::optional<std::string_view> text = object.find(name);
  std::uint64_t value = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), value).ec != std::errc())
    return fail(ErrorCode::kInvalidArgument, fmt::format("no {} in the header", name));
  return value;
}

std::string text_member(const JsonObjectText& object, std::string_view name) {
  const std::optional<std::string_view> text = object.find(name);
  return text && is_json_string(*text) ? decode_json_string(*text) : std::string();
}

// The program that a kLoad describes.
Result<ProgramPtr> read_program(std::string_view payload) {
  Reader in(payload);
  const std::string_view header = in.text();
  if (in.failed()) return fail(ErrorCode::kInvalidArgument, "a kLoad that is cut short");
  SEAM_ASSIGN_OR_RETURN(const JsonObjectText object, JsonObjectText::parse(header));
  auto program = std::make_shared<Program>();
  program->language_title = text_member(object, "language_title");
  program->entry = text_member(object, "entry");
  program->content = in.rest();
  SEAM_ASSIGN_OR_RETURN(program->limits.log_bytes_max, number_member(object, "log_bytes_max"));
  SEAM_ASSIGN_OR_RETURN(program->limits.result_bytes_max,
                        number_member(object, "result_bytes_max"));
  SEAM_ASSIGN_OR_RETURN(program->limits.memory_bytes_max,
                        number_member(object, "memory_bytes_max"));
  SEAM_ASSIGN_OR_RETURN(const JsonObjectText environment,
                        JsonObjectText::parse(object.find("environment").value_or("{}")));
  for (const JsonObjectText::Member& member : environment.members()) {
    const std::string name = decode_json_string(fmt::format("\"{}\"", member.name));
    program->environment[name] = decode_json_string(member.value);
  }
  return program;
}

// What one load or call has to say, sent in one write.
class Answer final : public CallSink {
 public:
  void on_result(std::string_view chunk) override { result_.append(chunk); }
  void on_log(LogStream stream, std::string_view bytes) override {
    while (!bytes.empty()) {
      const std::string_view part = bytes.substr(0, kLogTextBytesMax);
      const char which = static_cast<char>(stream);
      add(FrameType::kLog, {&which, 1}, part);
      bytes.remove_prefix(part.size());
    }
  }
  void dropped(std::uint64_t bytes) {
    constexpr char kDroppedCountStream = 2;
    if (bytes > 0) add(FrameType::kLog, {&kDroppedCountStream, 1}, std::to_string(bytes));
  }
  void end(FrameType type, std::string_view payload) { add(type, {}, payload); }
  void end_with_result() { add(FrameType::kResult, {}, result_); }
  [[nodiscard]] const std::string& bytes() const { return out_; }

 private:
  void add(FrameType type, std::string_view head, std::string_view body) {
    auto length = static_cast<std::uint32_t>(1 + head.size() + body.size());
    for (int i = 0; i < 4; ++i, length >>= 8U) out_.push_back(static_cast<char>(length & 0xFFU));
    out_.push_back(static_cast<char>(type));
    out_.append(head).append(body);
  }

  std::string result_;
  std::string out_;
};

class EngineWorker {
 public:
  EngineWorker(int socket, wasm::Runtime& engine) : socket_(socket), engine_(engine) {
    wasm::add_wasi(host_);
  }

  int serve() {
    Answer ready;
    ready.end(FrameType::kReady, "{}");
    if (!send(ready)) return 0;
    process::FrameDecoder frames;
    while (true) {
      const auto frame = frames.next(limit_of, nullptr);
      if (!frame) return kNonsense;
      if (*frame) {
        Answer answer;
        if (!handle((*frame)->type, (*frame)->payload, answer)) return kNonsense;
        if (!answer.bytes().empty() && !send(answer)) return 0;
        continue;
      }
      const std::span<char> room = frames.room();
      const ssize_t count = ::read(socket_, room.data(), room.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return 0;
      frames.added(static_cast<std::size_t>(count));
    }
  }

 private:
  // The server's own limits hold; this only tells what may come.
  static std::optional<std::size_t> limit_of(const void* /*context*/, std::uint8_t type) {
    constexpr std::size_t kFrameBytesMax = 2ULL << 30U;
    const auto known = static_cast<FrameType>(type);
    if (known != FrameType::kLoad && known != FrameType::kTimedCall) return std::nullopt;
    return kFrameBytesMax;
  }

  bool handle(std::uint8_t type, std::string_view payload, Answer& answer) {
    if (static_cast<FrameType>(type) == FrameType::kLoad) return load(payload, answer);
    return call(payload, answer);
  }

  bool load(std::string_view payload, Answer& answer) {
    Result<ProgramPtr> program = read_program(payload);
    if (!program || program_) return false;
    program_ = *std::move(program);
    const auto loaded = compile();
    if (loaded) {
      answer.end(FrameType::kLoaded, "{}");
    } else {
      answer.end(FrameType::kFailure,
                 format_failure(FunctionError{.kind = FunctionError::Kind::kLoadFailed,
                                              .type = {},
                                              .message = loaded.error().message,
                                              .line = {},
                                              .column = {},
                                              .stack_trace = {}}));
    }
    return true;
  }

  Result<> compile() {
    auto module = engine_.compile(program_->content);
    if (!module) return fail(ErrorCode::kInvalidArgument, std::move(module).error().message);
    SEAM_ASSIGN_OR_RETURN(guest_,
                          GuestProgram::make(engine_, host_, *std::move(module), program_->entry));
    return {};
  }

  bool call(std::string_view payload, Answer& answer) {
    Reader in(payload);
    const auto deadline_ns = static_cast<std::int64_t>(in.number(8));
    const std::string_view call_id = in.text();
    const std::string_view context = in.text();
    if (in.failed() || !program_) return false;
    if (!guest_) return true;  // its load has failed
    const Call call{.call_id = call_id,
                    .params = in.rest(),
                    .context = context,
                    .deadline = Deadline{MonotonicTime(nanoseconds(deadline_ns))},
                    .cancelled = {}};
    GuestCall running(*guest_, *program_, call);
    while (!running.run(kSlice)) {
      std::this_thread::sleep_until(std::min(running.ready_at(), MonotonicClock::now() + kWaitMax));
    }
    CallStats stats;
    const auto outcome = running.finish(answer, stats);
    answer.dropped(stats.log_bytes_dropped);
    if (std::holds_alternative<Completed>(outcome)) {
      answer.end_with_result();
    } else if (const auto* error = std::get_if<FunctionError>(&outcome)) {
      answer.end(FrameType::kFailure, format_failure(*error));
    } else {
      answer.end(FrameType::kFailure, format_host_failure(std::get<Error>(outcome)));
    }
    return true;
  }

  [[nodiscard]] bool send(const Answer& answer) const {
    std::string_view left = answer.bytes();
    while (!left.empty()) {
      const ssize_t count = ::send(socket_, left.data(), left.size(), MSG_NOSIGNAL);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return false;
      left.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
  }

  const int socket_;
  wasm::Runtime& engine_;
  wasm::HostModule host_;
  ProgramPtr program_;
  std::unique_ptr<GuestProgram> guest_;
};

}  // namespace

std::vector<std::string> engine_arguments(const EngineTaskArguments& wanted) {
  return {wanted.task == EngineTask::kServe ? "serve" : "version", wanted.engine, wanted.mode,
          wanted.library_folder, wanted.build};
}

Result<EngineTaskArguments> read_engine_arguments(std::span<const std::string> arguments) {
  if (arguments.size() != 5 || (arguments[0] != "serve" && arguments[0] != "version")) {
    return fail(ErrorCode::kInvalidArgument,
                "an engine's process is started by the server, with arguments of its own");
  }
  return EngineTaskArguments{
      .engine = arguments[1],
      .mode = arguments[2],
      .library_folder = arguments[3],
      .build = arguments[4],
      .task = arguments[0] == "serve" ? EngineTask::kServe : EngineTask::kVersion};
}

int serve_engine(int socket, wasm::Runtime& engine) { return EngineWorker(socket, engine).serve(); }

}  // namespace seam::runtimes
