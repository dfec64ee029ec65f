#pragma once
// From a call to its HTTP answer: the result goes into the body as it comes from the worker, once.
//
//   CallResponse body(request_id);
//   CallAnswer answer = co_await executor.run(request, body);
//   co_return body.finish(answer, executor);

#include <string>
#include <string_view>

#include "functions/executor.h"
#include "http/message.h"
#include "runtimes/runtime.h"

namespace seam::api {

class CallResponse final : public runtimes::CallSink {
 public:
  // `request_id` is the session's; empty for a call without one, whose answer carries the call's
  // own id.
  explicit CallResponse(std::string_view request_id) : request_id_(request_id) {}

  void on_result(std::string_view chunk) override { result_.append(chunk); }
  void on_log(runtimes::LogStream, std::string_view) override {}  // kept in the record alone

  // Appends the call's record, then gives the answer.
  [[nodiscard]] http::Response finish(functions::CallAnswer& answer, functions::Executor& executor);

 private:
  [[nodiscard]] http::Response render(const functions::CallAnswer& answer,
                                      std::string_view request_id);

  std::string request_id_;
  std::string result_ =
      R"({"result":)";  // the body from its first byte on, so that a result is copied once
};

}  // namespace seam::api
