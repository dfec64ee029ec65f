#include "process/frames.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace seam::process {

namespace {

constexpr std::size_t kLengthBytes = 4;

std::uint32_t read_u32(const char* bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = kLengthBytes; i-- > 0;)
    value = value << 8U | static_cast<unsigned char>(bytes[i]);
  return value;
}

void write_u32(char* bytes, std::uint32_t value) {
  for (std::size_t i = 0; i < kLengthBytes; ++i, value >>= 8U)
    bytes[i] = static_cast<char>(value & 0xFFU);
}

}  // namespace

void FrameDecoder::move_to(std::size_t capacity) {
  if (capacity == capacity_) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, buffered());
  } else {
    auto larger = std::make_unique_for_overwrite<char[]>(capacity);
    if (buffered() > 0) std::memcpy(larger.get(), buffer_.get() + begin_, buffered());
    buffer_ = std::move(larger);
    capacity_ = capacity;
  }
  end_ -= begin_;
  begin_ = 0;
}

std::span<char> FrameDecoder::room() {
  if (begin_ == end_) {
    begin_ = end_ = 0;
    if (capacity_ != kBufferBytes) move_to(kBufferBytes);
  } else if (frame_bytes_ > capacity_ && end_ - begin_ == capacity_) {
    move_to(std::min(frame_bytes_, capacity_ * 4));
  } else if (begin_ > 0 && (end_ == capacity_ || begin_ + frame_bytes_ > capacity_)) {
    move_to(std::max(frame_bytes_, buffered()) <= kBufferBytes ? kBufferBytes : capacity_);
  }
  return {buffer_.get() + end_, capacity_ - end_};
}

void FrameDecoder::added(std::size_t count) {
  CHECK(count <= capacity_ - end_);
  end_ += count;
}

Result<std::optional<FrameDecoder::Frame>> FrameDecoder::next(LimitOf limit_of,
                                                              const void* context) {
  if (buffered() < kFrameHeaderBytes) return std::nullopt;
  const char* frame = buffer_.get() + begin_;
  const auto type = static_cast<std::uint8_t>(frame[kLengthBytes]);
  if (frame_bytes_ == 0) {
    const std::size_t length = read_u32(frame);
    if (length == 0)
      return fail(ErrorCode::kInvalidArgument, "a frame of length 0, without a type");
    const std::optional<std::size_t> limit = limit_of(context, type);
    if (!limit) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("a frame of type 0x{:02x}, which is unknown or out of turn", type));
    }
    if (length - 1 > *limit) {
      return fail(ErrorCode::kInvalidArgument,
                  fmt::format("a frame of type 0x{:02x} with {} bytes, over its limit of {}", type,
                              length - 1, *limit));
    }
    frame_bytes_ = kLengthBytes + length;
  }
  if (buffered() < frame_bytes_) return std::nullopt;
  const std::string_view payload(frame + kFrameHeaderBytes, frame_bytes_ - kFrameHeaderBytes);
  begin_ += frame_bytes_;
  frame_bytes_ = 0;
  return Frame{type, payload};
}

FrameChannel::FrameChannel(EventLoop& loop, FileDescriptor socket, FrameReceiver& receiver)
    : loop_(loop), socket_(std::move(socket)), receiver_(receiver) {
  CHECK(socket_);
  readiness_ = std::make_unique<Readiness>(loop_, socket_.get());
  read_more();
}

FrameChannel::~FrameChannel() { close(); }

void FrameChannel::close() {
  readiness_.reset();
  socket_.reset();
  unsent_ = {};
  unsent_begin_ = 0;
}

void FrameChannel::end(Error error) {
  if (!is_open()) return;
  close();
  receiver_.on_channel_end(std::move(error));
}

void FrameChannel::read_more() {
  const std::span<char> room = decoder_.room();
  readiness_->read(
      room.data(), room.size(),
      [](void* self, std::ptrdiff_t count) { static_cast<FrameChannel*>(self)->on_read(count); },
      this);
}

void FrameChannel::on_read(std::ptrdiff_t count) {
  if (count == 0) return end({ErrorCode::kUnavailable, "the connection was closed", {}});
  if (count < 0) {
    return end(fail_errno("the connection broke", static_cast<int>(-count)).error());
  }
  decoder_.added(static_cast<std::size_t>(count));
  if (give_out()) read_more();
}

bool FrameChannel::give_out() {
  CHECK(!giving_out_);
  giving_out_ = true;
  const auto limit_of = [](const void* self, std::uint8_t type) {
    return static_cast<const FrameChannel*>(self)->receiver_.frame_bytes_max(type);
  };
  std::optional<Error> broken;
  while (is_open()) {
    Result<std::optional<FrameDecoder::Frame>> frame = decoder_.next(limit_of, this);
    if (!frame) {
      broken = std::move(frame).error();
      break;
    }
    if (!*frame) break;
    receiver_.on_frame((*frame)->type, (*frame)->payload);
  }
  giving_out_ = false;
  if (broken) end(*std::move(broken));
  return is_open();
}

bool FrameChannel::send(std::span<const FrameView> frames) {
  CHECK(!sending());
  if (!is_open()) return false;
  constexpr std::size_t kFramesMax = 4;
  constexpr std::size_t kPiecesMax = 24;
  CHECK(frames.size() <= kFramesMax);
  std::array<std::array<char, kFrameHeaderBytes>, kFramesMax> headers;
  std::array<iovec, kPiecesMax> pieces;
  std::size_t pieces_count = 0;
  std::size_t total = 0;
  const auto add = [&](const char* data, std::size_t size) {
    CHECK(pieces_count < kPiecesMax);
    pieces[pieces_count++] = {const_cast<char*>(data), size};
    total += size;
  };
  for (std::size_t i = 0; i < frames.size(); ++i) {
    std::size_t length = 1;
    for (const std::string_view part : frames[i].parts) length += part.size();
    CHECK(length <= std::numeric_limits<std::uint32_t>::max());
    write_u32(headers[i].data(), static_cast<std::uint32_t>(length));
    headers[i][kLengthBytes] = static_cast<char>(frames[i].type);
    add(headers[i].data(), kFrameHeaderBytes);
    for (const std::string_view part : frames[i].parts) {
      if (!part.empty()) add(part.data(), part.size());
    }
  }

  msghdr message{};
  message.msg_iov = pieces.data();
  message.msg_iovlen = pieces_count;
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket_.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
  } while (sent < 0 && errno == EINTR);
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) return false;
  std::size_t taken = sent < 0 ? 0 : static_cast<std::size_t>(sent);
  if (taken == total) return true;

  unsent_.reserve(total - taken);
  for (std::size_t i = 0; i < pieces_count; ++i) {
    const std::size_t skipped = std::min(taken, pieces[i].iov_len);
    taken -= skipped;
    unsent_.append(static_cast<const char*>(pieces[i].iov_base) + skipped,
                   pieces[i].iov_len - skipped);
  }
  readiness_->when_writable([this] { send_rest(); });
  return true;
}

void FrameChannel::send_rest() {
  while (unsent_begin_ < unsent_.size()) {
    const ssize_t sent = ::send(socket_.get(), unsent_.data() + unsent_begin_,
                                unsent_.size() - unsent_begin_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
      readiness_->when_writable([this] { send_rest(); });
      return;
    }
    if (sent < 0) break;  // the reading side hears of the end
    unsent_begin_ += static_cast<std::size_t>(sent);
  }
  unsent_ = {};  // a large request's memory is not kept for small ones
  unsent_begin_ = 0;
}

}  // namespace seam::process
