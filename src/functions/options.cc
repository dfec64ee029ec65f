#include "functions/options.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <limits>

namespace seam::functions {
namespace {
namespace json = boost::json;

std::unexpected<Error> bad(std::string_view key, const json::value& value, std::string_view right) {
  std::string shown = json::serialize(value);
  if (shown.size() > 80) shown = shown.substr(0, 80) + "…";
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("{} is {}: it must be {}", key, shown, right));
}

// Any number that is whole and within the range, also written 3.0 or 3e0.
template <class T>
Result<void> read_number(std::string_view key, const json::value& value, std::int64_t least,
                         std::int64_t most, T& out) {
  boost::system::error_code error;
  const auto number = value.to_number<std::int64_t>(error);
  if (error || !value.is_number() || number < least || number > most) {
    return bad(key, value, fmt::format("a whole number from {} to {}", least, most));
  }
  out = static_cast<T>(number);
  return {};
}

Result<void> read_flag(std::string_view key, const json::value& value, bool& out) {
  if (!value.is_bool()) return bad(key, value, "true or false");
  out = value.get_bool();
  return {};
}

// Reads one of the keys of a wish; false where `key` is none of them.
Result<bool> read_wish(std::string_view key, const json::value& value, runtimes::EngineWish& wish) {
  constexpr std::size_t kNameBytesMax = 64;
  const bool name = key == "engine" || key == "fallback";
  if (!name && key != "isolation") return false;
  const bool text = value.is_string() && !value.get_string().empty() &&
                    value.get_string().size() <= kNameBytesMax;
  if (name && !text) return bad(key, value, "the name of an engine");
  if (key == "engine") {
    wish.engine = std::string_view(value.get_string());
  } else if (key == "fallback") {
    wish.fallback = std::string_view(value.get_string());
  } else if (text && value.get_string() == "process") {
    wish.own_process = true;
  } else {
    return bad(key, value, "\"process\", or left out");
  }
  return true;
}

bool environment_name(std::string_view name) {
  if (name.empty() || name.size() > 256 || (name[0] >= '0' && name[0] <= '9')) return false;
  for (const char c : name) {
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'))
      return false;
  }
  return true;
}

Result<void> read_limits(const json::value& value, ImplementationOptions& options) {
  if (!value.is_object()) return bad("limits", value, "an object");
  runtimes::ProgramLimits& limits = options.limits;
  constexpr std::int64_t kMiB = 1 << 20;
  for (const auto& [name, member] : value.get_object()) {
    const std::string key = fmt::format("limits.{}", std::string_view(name));
    if (name == "memory_bytes_max") {
      SEAM_RETURN_IF_ERROR(
          read_number(key, member, 32 * kMiB, 64 * 1024 * kMiB, limits.memory_bytes_max));
    } else if (name == "disk_bytes_max") {
      SEAM_RETURN_IF_ERROR(read_number(key, member, kMiB, 1024 * kMiB, limits.disk_bytes_max));
    } else if (name == "processes_max") {
      SEAM_RETURN_IF_ERROR(read_number(key, member, 16, 4096, limits.processes_max));
    } else if (name == "log_bytes_max") {
      SEAM_RETURN_IF_ERROR(read_number(key, member, 0, 16 * kMiB, limits.log_bytes_max));
    } else if (name == "result_bytes_max") {
      SEAM_RETURN_IF_ERROR(read_number(key, member, 1, 256 * kMiB, limits.result_bytes_max));
    } else if (name == "workers_max") {
      SEAM_RETURN_IF_ERROR(read_number(key, member, 1, 1024, limits.workers_max));
    } else if (name == "queue_max") {
      SEAM_RETURN_IF_ERROR(read_number(key, member, 0, 65536, limits.queue_max));
    } else if (name == "timeout_ms") {
      std::int64_t timeout_ms = 0;
      SEAM_RETURN_IF_ERROR(read_number(key, member, 1, kTimeoutMsMax, timeout_ms));
      options.timeout_ms = timeout_ms;
    } else {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("{} is not a limit: use memory_bytes_max, disk_bytes_max, "
                              "processes_max, log_bytes_max, "
                              "result_bytes_max, workers_max, queue_max or timeout_ms",
                              key));
    }
  }
  return {};
}

}  // namespace

Result<ImplementationOptions> parse_options(std::string_view text,
                                            const ImplementationOptions& defaults) {
  ImplementationOptions options = defaults;
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !parsed.is_object())
    return fail(ErrorCode::kInvalidArgument, "options are not a JSON object");
  for (const auto& [name, value] : parsed.get_object()) {
    const std::string_view key = name;
    if (key == "entry") {
      if (!value.is_string() || value.get_string().size() > 256)
        return bad(key, value, "a string of at most 256 bytes");
      options.entry = std::string_view(value.get_string());
    } else if (key == "concurrency") {
      SEAM_RETURN_IF_ERROR(read_number(key, value, 1, 1024, options.limits.concurrency_max));
    } else if (key == "cacheable") {
      SEAM_RETURN_IF_ERROR(read_flag(key, value, options.cacheable.emplace()));
    } else if (key == "idempotent") {
      SEAM_RETURN_IF_ERROR(read_flag(key, value, options.idempotent));
    } else if (key == "environment") {
      SEAM_ASSIGN_OR_RETURN(options.environment, parse_environment(json::serialize(value)));
    } else if (key == "limits") {
      SEAM_RETURN_IF_ERROR(read_limits(value, options));
    } else {
      SEAM_ASSIGN_OR_RETURN(const bool read, read_wish(key, value, options.wish));
      if (read) continue;
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("'{}' is not an option: use entry, concurrency, cacheable, "
                              "idempotent, environment, engine, fallback, isolation or limits",
                              key));
    }
  }
  return options;
}

Result<runtimes::EngineWish> parse_wish(std::string_view text) {
  runtimes::EngineWish wish;
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !parsed.is_object())
    return fail(ErrorCode::kInvalidArgument, "options of an engine are not a JSON object");
  for (const auto& [name, value] : parsed.get_object()) {
    if (const Result<bool> read = read_wish(name, value, wish); !read)
      return std::unexpected(read.error());
  }
  return wish;
}

Result<std::map<std::string, std::string>> parse_environment(std::string_view text) {
  constexpr std::size_t kVariablesMax = 256;
  constexpr std::size_t kValueBytesMax = 64U << 10U;
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(text.data(), text.size()), error);
  if (error || !parsed.is_object()) {
    return fail(ErrorCode::kInvalidArgument, "environment must be an object of names and strings");
  }
  if (parsed.get_object().size() > kVariablesMax) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("environment has more than {} variables", kVariablesMax));
  }
  std::map<std::string, std::string> environment;
  for (const auto& [name, value] : parsed.get_object()) {
    if (!environment_name(name)) {
      return fail(
          ErrorCode::kInvalidArgument,
          fmt::format(
              "environment: '{}' is not a variable's name: letters, digits and _, no digit first",
              std::string_view(name)));
    }
    if (!value.is_string() || value.get_string().size() > kValueBytesMax ||
        std::string_view(value.get_string()).find(char{0}) != std::string_view::npos) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("environment.{} must be a string of at most {} bytes without NUL",
                              std::string_view(name), kValueBytesMax));
    }
    environment.emplace(name, std::string_view(value.get_string()));
  }
  return environment;
}

std::string format_options(const ImplementationOptions& options) {
  json::object environment;
  for (const auto& [name, value] : options.environment) environment[name] = value;
  const runtimes::ProgramLimits& limits = options.limits;
  json::object limits_json = {{"memory_bytes_max", limits.memory_bytes_max},
                              {"disk_bytes_max", limits.disk_bytes_max},
                              {"processes_max", limits.processes_max},
                              {"log_bytes_max", limits.log_bytes_max},
                              {"result_bytes_max", limits.result_bytes_max},
                              {"workers_max", limits.workers_max},
                              {"queue_max", limits.queue_max}};
  if (options.timeout_ms) limits_json["timeout_ms"] = *options.timeout_ms;
  json::object out{{"entry", options.entry},
                   {"concurrency", limits.concurrency_max},
                   {"idempotent", options.idempotent},
                   {"environment", std::move(environment)},
                   {"limits", std::move(limits_json)}};
  if (options.cacheable) out["cacheable"] = *options.cacheable;
  if (!options.wish.fallback.empty()) out["fallback"] = options.wish.fallback;
  if (options.wish.own_process) out["isolation"] = "process";
  return json::serialize(out);
}

}  // namespace seam::functions
