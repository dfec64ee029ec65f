#pragma once
// For the tests of the store: a folder of its own, a loop that runs one operation to its end, and
// rows to write.
//
//   TemporaryDirectory directory;
//   Result<Snapshot> snapshot = run_on_loop(store->load());

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/event_loop.h"
#include "base/identifier.h"
#include "base/task.h"
#include "store/store.h"

namespace seam::store {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "seam-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// Awaits `task` on a loop of this thread, which stays until the thread ends: a store may still be
// inside post() when the task is done.
template <class T>
T run_on_loop(Task<T> task) {
  static thread_local EventLoop loop("test");
  std::optional<T> result;
  loop.post([&result, task = std::move(task)]() mutable {
    start(std::move(task), [&result](T value) {
      EXPECT_TRUE(loop.is_current());
      result.emplace(std::move(value));
    });
  });
  while (!result.has_value()) {
    if (!loop.poll()) std::this_thread::yield();
  }
  return *std::move(result);
}

inline SessionRow make_session(std::string request_id, WallTime now) {
  SessionRow session;
  session.request_id = std::move(request_id);
  session.language_title = "nodejs-calculator";
  session.user_id = "alice";
  session.status = "initialized";
  session.context = R"({"environment":"test"})";
  session.script_content = "return event.params.a + 1;";
  session.script_hash = sha256_hex(session.script_content);
  session.created_at = now;
  session.expires_at = now + seconds(3600);
  return session;
}

inline NewVersion make_version(std::string title, std::string content) {
  NewVersion version;
  version.function.language = "nodejs";
  version.function.title = title;
  version.function.language_title = "nodejs-" + title;
  version.function.description = "adds";
  version.implementation.schema = R"({"params":{"type":"object"}})";
  version.implementation.examples = "[]";
  version.function.tags = {"math", "with \"quotes\""};
  version.function.created_by = "alice";
  version.implementation.runtime = "nodejs";
  version.implementation.hash = sha256_hex(content);
  version.implementation.options = R"({"entry":"index.js"})";
  version.content = std::move(content);
  return version;
}

inline CallRecord make_record(std::string request_id, WallTime now) {
  CallRecord record;
  record.call_id = random_uuid();
  record.request_id = std::move(request_id);
  record.has_session = true;
  record.language_title = "nodejs-calculator";
  record.implementation_id = 3;
  record.started_at = now;
  record.client_ip = "127.0.0.1";
  record.user_id = "alice";
  record.request_headers = R"({"user-agent":"test"})";
  record.request_payload = R"({"a":1,"b":2})";
  record.response_payload = "3";
  record.duration_us = 1500;
  record.logs = "adding\n";
  record.runtime_metrics = R"({"run_us":1200})";
  record.session_expires_at = now + seconds(3600);
  return record;
}

}  // namespace seam::store
