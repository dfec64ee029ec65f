#pragma once
// What a connection needs while it is not idle: the request being served and the buffers around it.
// Connections that are idle have none, and share those that their loop keeps. Inside http only.
//
//   std::unique_ptr<Exchange> exchange = loop.take_exchange();  …
//   loop.give_back(std::move(exchange));

#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "http/message.h"
#include "http/request_parser.h"

namespace seam::http {

// Bytes received and not yet used, at data[begin, end).
struct ReceiveBuffer {
  static constexpr std::size_t kStart = 8U << 10U;
  static constexpr std::size_t kKept = 16U << 10U;  // larger ones are freed with their request

  std::unique_ptr<char[]> data;
  std::size_t capacity = 0;
  std::size_t begin = 0;
  std::size_t end = 0;

  [[nodiscard]] std::size_t size() const { return end - begin; }
  [[nodiscard]] std::string_view view() const { return {data.get() + begin, size()}; }
  // Makes room for at least one more byte by moving what is kept to the front, or by growing.
  void make_room();
};

// What a connection needs while it is not idle: the request being served and the buffers around it.
struct Exchange final : Request {
  static constexpr std::size_t kStringKept = 64U << 10U;  // larger bodies and answers are freed

  ReceiveBuffer in;
  Head head;
  std::string decoded_body;
  std::string out;       // responses to send, from out_sent on
  std::string out_body;  // a large body, sent after `out` without being copied
  std::size_t out_sent = 0;
  std::stop_source stop;
  std::unique_ptr<BodyStream> stream;  // of the response in hand, while it goes on

  [[nodiscard]] std::optional<std::string_view> header(std::string_view name) const override;
  [[nodiscard]] std::vector<std::pair<std::string_view, std::string_view>> headers() const override;
  // Makes it as good as new, keeping what memory is worth keeping.
  void reset();
  // Empties a string, and frees it if it is large.
  static void keep_small(std::string& text);
};

}  // namespace seam::http
