#include <fmt/format.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <deque>
#include <unordered_set>

#include "base/file_descriptor.h"
#include "base/json_text.h"
#include "cli/call_commands.h"

namespace seam::cli {
namespace {

constexpr milliseconds kRetryPause{500};
// How far back a line may be whose call had begun before the connection was lost: the longest call.
constexpr seconds kLookBack{900};
constexpr std::size_t kRememberedMax = 20'000;  // lines shown, so that none is shown twice

std::string member(const JsonObjectText& object, std::string_view name) {
  const auto value = object.find(name);
  if (!value || *value == "null") return {};
  return is_json_string(*value) ? decode_json_string(*value) : std::string(*value);
}

// SIGINT and SIGTERM as a descriptor, for as long as it lives.
class StopSignals {
 public:
  StopSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, &before_);
    fd_ = FileDescriptor(::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  }
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;
  ~StopSignals() {
    signalfd_siginfo taken{};
    while (::read(fd_.get(), &taken, sizeof taken) > 0) {
    }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Whether one has come by the end of the pause.
  [[nodiscard]] bool come(milliseconds pause) const {
    pollfd polled{.fd = fd_.get(), .events = POLLIN, .revents = 0};
    return ::poll(&polled, 1, static_cast<int>(pause.count())) > 0;
  }

 private:
  sigset_t before_{};
  FileDescriptor fd_;
};

// Lines as they come, each shown once.
class FollowedLines {
 public:
  FollowedLines(bool json, const Style& style) : json_(json), style_(style) {}

  // Takes any part of the stream; false once stdout is gone.
  bool take(std::string_view part) {
    pending_ += part;
    std::size_t at = 0;
    for (std::size_t end = 0; (end = pending_.find('\n', at)) != std::string::npos; at = end + 1)
      show(std::string_view(pending_).substr(at, end - at));
    pending_.erase(0, at);
    return std::fflush(stdout) == 0;
  }
  void connection_lost() { pending_.clear(); }
  // From when on lines may have been missed.
  [[nodiscard]] WallTime resume_from() const { return std::max(first_, last_ - kLookBack); }

 private:
  void show(std::string_view line) {
    if (const auto object = JsonObjectText::parse(line)) {
      if (const Result<WallTime> time = parse_rfc3339(member(*object, "time")))
        first_ = std::min(first_, *time), last_ = std::max(last_, *time);
      const std::string key = member(*object, "call_id") + "/" + member(*object, "line");
      if (key.size() > 1) {
        if (!shown_.insert(key).second) return;
        order_.push_back(key);
        if (order_.size() > kRememberedMax) {
          shown_.erase(order_.front());
          order_.pop_front();
        }
      }
    }
    const std::string text = json_ ? std::string(line) + "\n" : render_log_line(line, style_);
    std::fwrite(text.data(), 1, text.size(), stdout);
  }

  const bool json_;
  const Style style_;
  std::string pending_;
  WallTime first_ = Clock::real().wall_now();
  WallTime last_ = first_;
  std::unordered_set<std::string> shown_;
  std::deque<std::string> order_;
};

}  // namespace

std::string harmless(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = static_cast<unsigned char>(i + 1 < text.size() ? text[i + 1] : 0);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", byte);
    } else if (byte == 0xc2 && next >= 0x80 && next < 0xa0) {  // U+0080 to U+009F
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", next);
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string harmless_lines(std::string_view text) {
  std::string out;
  for (;;) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    out += harmless(text.substr(0, end));
    if (end == text.size()) return out;
    out += '\n';
    text.remove_prefix(end + 1);
  }
}

std::string render_log_line(std::string_view json, const Style& style) {
  const auto line = JsonObjectText::parse(json);
  if (!line) return harmless(json) + "\n";
  if (const std::string calls = member(*line, "omitted_calls"); !calls.empty())
    return style.faint(fmt::format("… the lines of {} earlier calls are left out", calls)) + "\n";
  const std::string function = harmless(member(*line, "function"));
  if (const std::string dropped = member(*line, "dropped"); !dropped.empty()) {
    return style.bad(
               fmt::format("… {} lines of {} came too fast and were dropped", dropped, function)) +
           "\n";
  }
  if (const std::string bytes = member(*line, "omitted_bytes"); !bytes.empty()) {
    return style.faint(fmt::format("… {} bytes of {} are left out: seam logs --call {}", bytes,
                                   function, member(*line, "call_id"))) +
           "\n";
  }
  const std::string text = harmless(member(*line, "text"));
  return fmt::format("{} {} {}\n", style.faint(member(*line, "time")), style.bold(function),
                     member(*line, "stream") == "stderr" ? style.bad(text) : text);
}

CommandResult show_logs(const CallsWanted& wanted, const Style& style) {
  std::string path = path_with_query("/api/v1/logs", wanted);
  path += fmt::format("{}per_page=100", path.contains('?') ? "&" : "?");
  const Result<http::ClientResponse> answer =
      http::fetch({.url = wanted.url + path, .headers = {{"Accept", "application/x-ndjson"}}});
  if (!answer || answer->status != 200) return show_refusal(wanted, answer);
  if (wanted.json) return {.out = answer->body};
  CommandResult result;
  std::string_view lines = answer->body;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    result.out += render_log_line(lines.substr(0, end), style);
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return result;
}

CommandResult follow_logs(const CallsWanted& wanted, const Style& style) {
  const StopSignals stop;
  FollowedLines lines(wanted.json, style);
  CallsWanted asked = wanted;
  for (bool connected = false;;) {
    bool stdout_gone = false;
    http::ClientRequest request{
        .url = asked.url + path_with_query("/api/v1/logs?follow=true", asked),
        .on_body =
            [&](std::string_view part) {
              connected = true;
              stdout_gone = !lines.take(part);
              return !stdout_gone && !stop.come(milliseconds(0));
            },
        .stop_fd = stop.fd()};
    const Result<http::ClientResponse> answer = http::fetch(request);
    if (stop.come(milliseconds(0)) || stdout_gone) return {};
    connected = connected || (answer && answer->status == 200);
    // Once it was there, a server that is away for a moment is waited for.
    const bool away = !answer || answer->status == 503;
    if (!connected || (!away && answer->status != 200)) return show_refusal(wanted, answer);
    lines.connection_lost();
    asked.since = format_rfc3339(lines.resume_from());
    if (stop.come(kRetryPause)) return {};
  }
}

}  // namespace seam::cli
