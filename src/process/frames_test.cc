#include "process/frames.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace seam::process {
namespace {

std::string encoded(std::uint8_t type, std::string_view payload) {
  const auto length = static_cast<std::uint32_t>(payload.size() + 1);
  std::string bytes;
  for (unsigned shift = 0; shift < 32; shift += 8)
    bytes.push_back(static_cast<char>(length >> shift & 0xFFU));
  bytes.push_back(static_cast<char>(type));
  bytes += payload;
  return bytes;
}

std::optional<std::size_t> limit_of(const void*, std::uint8_t type) {
  if (type == 0x82) return 1U << 20U;
  if (type == 0x84) return 100;
  return std::nullopt;
}

using Frames = std::vector<std::pair<std::uint8_t, std::string>>;

// Feeds `bytes` in pieces of at most `piece` bytes; returns what went wrong, if anything did.
std::optional<Error> feed(FrameDecoder& decoder, std::string_view bytes, std::size_t piece,
                          Frames& frames) {
  while (!bytes.empty()) {
    const std::span<char> room = decoder.room();
    EXPECT_FALSE(room.empty());
    const std::size_t count = std::min({room.size(), piece, bytes.size()});
    std::copy_n(bytes.data(), count, room.data());
    decoder.added(count);
    bytes.remove_prefix(count);
    while (true) {
      auto frame = decoder.next(limit_of, nullptr);
      if (!frame) return frame.error();
      if (!*frame) break;
      frames.emplace_back((*frame)->type, std::string((*frame)->payload));
    }
  }
  return std::nullopt;
}

TEST(FrameDecoder, GivesTheSameFramesHoweverTheBytesAreCut) {
  Frames sent;
  std::string bytes;
  std::mt19937 random(7);
  for (const std::size_t size :
       {0UL, 1UL, 95UL, 16379UL, 16380UL, 300'000UL, 3UL, 1UL << 20U, 0UL}) {
    std::string payload(size, '\0');
    std::ranges::generate(payload, [&] { return static_cast<char>(random()); });
    sent.emplace_back(0x82, payload);
    bytes += encoded(0x82, payload);
  }
  for (const std::size_t piece : {1UL, 3UL, 4096UL, 16384UL, 1UL << 24U}) {
    FrameDecoder decoder;
    Frames got;
    EXPECT_EQ(feed(decoder, bytes, piece, got), std::nullopt);
    EXPECT_EQ(got, sent) << "in pieces of " << piece;
    EXPECT_EQ(decoder.buffered(), 0U);
  }
}

TEST(FrameDecoder, BufferGrowsWithBytesThatCameAndShrinksAfterwards) {
  FrameDecoder decoder;
  Frames frames;
  const std::string large = encoded(0x82, std::string(1U << 20U, 'x'));
  ASSERT_EQ(feed(decoder, large.substr(0, 10), 10, frames), std::nullopt);
  EXPECT_EQ(decoder.capacity(), FrameDecoder::kBufferBytes) << "grew on a promise";
  ASSERT_EQ(feed(decoder, large.substr(10), 1U << 24U, frames), std::nullopt);
  ASSERT_EQ(frames.size(), 1U);
  static_cast<void>(decoder.room());
  EXPECT_EQ(decoder.capacity(), FrameDecoder::kBufferBytes);
}

TEST(FrameDecoder, RefusesWhatIsNoFrame) {
  const std::array<std::pair<std::string, std::string>, 3> cases = {{
      {std::string("\0\0\0\0\x82", 5), "a frame of length 0, without a type"},
      {encoded(0x01, "x"), "a frame of type 0x01, which is unknown or out of turn"},
      {encoded(0x84, std::string(101, 'x')),
       "a frame of type 0x84 with 101 bytes, over its limit of 100"},
  }};
  for (const auto& [bytes, message] : cases) {
    FrameDecoder decoder;
    Frames frames;
    const std::optional<Error> error = feed(decoder, bytes, 1000, frames);
    ASSERT_TRUE(error.has_value());
    EXPECT_EQ(error->code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(error->message, message);
    EXPECT_TRUE(frames.empty());
  }
}

// Keeps what a channel says.
class Kept final : public FrameReceiver {
 public:
  [[nodiscard]] std::optional<std::size_t> frame_bytes_max(std::uint8_t type) const override {
    return type == 0x82 ? std::optional<std::size_t>(8U << 20U) : std::nullopt;
  }
  void on_frame(std::uint8_t type, std::string_view payload) override {
    frames.emplace_back(type, payload);
    if (close_on_frame != nullptr) close_on_frame->close();
  }
  void on_channel_end(Error error) override { ended = std::move(error); }

  Frames frames;
  std::optional<Error> ended;
  FrameChannel* close_on_frame = nullptr;
};

struct Pair {
  Pair() {
    std::array<int, 2> fds{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds.data()), 0);
    near = FileDescriptor(fds[0]);
    far = FileDescriptor(fds[1]);
  }
  FileDescriptor near;
  FileDescriptor far;
};

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), bytes.size());
    ASSERT_GT(count, 0);
    bytes.remove_prefix(static_cast<std::size_t>(count));
  }
}

TEST(FrameChannel, SendsAndReceivesFramesLargerThanTheSocketTakes) {
  EventLoop loop("test");
  Pair left_pair;
  Kept left_kept;
  Kept right_kept;
  FrameChannel left(loop, std::move(left_pair.near), left_kept);
  FrameChannel right(loop, std::move(left_pair.far), right_kept);
  const std::string large(6U << 20U, 'p');
  const std::array<std::string_view, 2> small_parts = {"ab", "c"};
  const std::array<std::string_view, 3> large_parts = {"", "head", large};
  const std::array<FrameView, 2> frames = {
      {{.type = 0x82, .parts = small_parts}, {.type = 0x82, .parts = large_parts}}};
  ASSERT_TRUE(left.send(frames));
  EXPECT_TRUE(left.sending());
  while (right_kept.frames.size() < 2) loop.poll();
  EXPECT_EQ(right_kept.frames[0].second, "abc");
  EXPECT_EQ(right_kept.frames[1].second, "head" + large);
  while (left.sending()) loop.poll();

  const std::array<FrameView, 1> answer = {{{.type = 0x82, .parts = small_parts}}};
  ASSERT_TRUE(right.send(answer));
  EXPECT_FALSE(right.sending());
  while (left_kept.frames.empty()) loop.poll();
  EXPECT_EQ(left_kept.frames[0].second, "abc");
}

TEST(FrameChannel, SaysOnceThatTheOtherSideIsGone) {
  EventLoop loop("test");
  Pair pair;
  Kept kept;
  FrameChannel channel(loop, std::move(pair.near), kept);
  write_all(pair.far.get(), encoded(0x82, "last") + "part");
  pair.far.reset();
  while (!kept.ended) loop.poll();
  ASSERT_EQ(kept.frames.size(), 1U) << "what came before the end is given out";
  EXPECT_EQ(kept.frames[0].second, "last");
  EXPECT_EQ(kept.ended->code, ErrorCode::kUnavailable);
  EXPECT_FALSE(channel.is_open());
  const std::array<std::string_view, 1> parts = {"x"};
  const std::array<FrameView, 1> frames = {{{.type = 1, .parts = parts}}};
  EXPECT_FALSE(channel.send(frames));
}

TEST(FrameChannel, EndsOnNonsenseAfterTheFramesBeforeIt) {
  EventLoop loop("test");
  Pair pair;
  Kept kept;
  FrameChannel channel(loop, std::move(pair.near), kept);
  write_all(pair.far.get(), encoded(0x82, "good") + encoded(0x7F, "bad") + encoded(0x82, "late"));
  while (!kept.ended) loop.poll();
  EXPECT_EQ(kept.ended->code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(kept.frames, (Frames{{0x82, "good"}}));
}

TEST(FrameChannel, ClosedByItsReceiverItSaysNothingMore) {
  EventLoop loop("test");
  Pair pair;
  Kept kept;
  FrameChannel channel(loop, std::move(pair.near), kept);
  kept.close_on_frame = &channel;
  write_all(pair.far.get(), encoded(0x82, "one") + encoded(0x82, "two"));
  while (kept.frames.empty()) loop.poll();
  while (loop.poll()) {
  }
  EXPECT_EQ(kept.frames.size(), 1U);
  EXPECT_EQ(kept.ended, std::nullopt);
}

}  // namespace
}  // namespace seam::process
