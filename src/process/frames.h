#pragma once
// Frames over a stream socket: u32 length of what follows, little endian | u8 type | payload. The
// server's side of every worker's descriptor 3; what the types mean is runtimes/worker_protocol.h.
//
//   FrameChannel channel(loop, std::move(socket), receiver);
//   const std::array<std::string_view, 2> parts = {context, params};
//   const std::array<FrameView, 1> frames = {{{kCall, parts}}};
//   if (!channel.send(frames)) …           // the other side is gone; receiver hears it too
//
// Nothing here blocks: bytes that the socket does not take at once are kept and sent when it does.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/event_loop.h"
#include "base/file_descriptor.h"
#include "base/result.h"

namespace seam::process {

inline constexpr std::size_t kFrameHeaderBytes = 5;

// One frame's payload may be of several parts, which are sent one after the other without being
// joined first.
struct FrameView {
  std::uint8_t type = 0;
  std::span<const std::string_view> parts;
};

// Takes bytes as they come and gives them back as frames. Keeps one buffer: as long as frames fit
// its first size they are never copied; for a larger frame it grows with the bytes that really
// came, not with what the header promises, and shrinks when that frame is done.
class FrameDecoder {
 public:
  static constexpr std::size_t kBufferBytes = 16U << 10U;

  struct Frame {
    std::uint8_t type = 0;
    std::string_view payload;  // until the next call of room()
  };
  // The most that a frame of `type` may hold, its type byte left out, or nothing for a type that
  // must not come now.
  using LimitOf = std::optional<std::size_t> (*)(const void* context, std::uint8_t type);

  // Where the next bytes go, once next() has nothing more; never empty. Views of earlier frames
  // end here.
  [[nodiscard]] std::span<char> room();
  void added(std::size_t count);  // so many bytes were written to room()

  // The next whole frame, or nothing before more bytes came.
  // errors    kInvalidArgument   length 0, a type that must not come, a frame over its limit; the
  //                              decoder is of no use afterwards
  [[nodiscard]] Result<std::optional<Frame>> next(LimitOf limit_of, const void* context);

  [[nodiscard]] std::size_t buffered() const { return end_ - begin_; }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }

 private:
  void move_to(std::size_t capacity);

  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // the first byte not yet given out
  std::size_t end_ = 0;
  std::size_t frame_bytes_ = 0;  // of the frame at begin_, header included, once it is known
};

// Who a channel tells. Called on the channel's loop. May close the channel, but not destroy it,
// while it is called.
class FrameReceiver {
 public:
  virtual ~FrameReceiver() = default;
  // As FrameDecoder::LimitOf.
  [[nodiscard]] virtual std::optional<std::size_t> frame_bytes_max(std::uint8_t type) const = 0;
  virtual void on_frame(std::uint8_t type, std::string_view payload) = 0;
  // The last thing the channel says, unless it was closed before. kInvalidArgument: the other side
  // sent what is no frame; else it is gone.
  virtual void on_channel_end(Error error) = 0;
};

// Lives on one loop, used there only.
class FrameChannel {
 public:
  // Borrows the receiver. Reads from now on.
  FrameChannel(EventLoop& loop, FileDescriptor socket, FrameReceiver& receiver);
  FrameChannel(const FrameChannel&) = delete;
  FrameChannel& operator=(const FrameChannel&) = delete;
  ~FrameChannel();

  // Sends the frames with one system call; what the socket does not take is copied and follows by
  // itself. At most one send is under way: the protocol is of turns, and that bounds what is kept.
  // Returns false where the other side is gone; on_channel_end() comes by itself.
  // A send while sending() is a bug.
  [[nodiscard]] bool send(std::span<const FrameView> frames);
  [[nodiscard]] bool sending() const { return !unsent_.empty(); }

  // Bytes that came and were not yet given out as frames: after a frame that ends a turn there
  // must be none.
  [[nodiscard]] std::size_t buffered() const { return decoder_.buffered(); }

  // Stops at once, without on_channel_end().
  void close();
  [[nodiscard]] bool is_open() const { return static_cast<bool>(socket_); }

 private:
  void read_more();
  void on_read(std::ptrdiff_t count);
  bool give_out();  // false when the channel has ended
  void end(Error error);
  void send_rest();

  EventLoop& loop_;
  FileDescriptor socket_;
  FrameReceiver& receiver_;
  std::unique_ptr<Readiness> readiness_;
  FrameDecoder decoder_;
  std::string unsent_;
  std::size_t unsent_begin_ = 0;
  bool giving_out_ = false;
};

}  // namespace seam::process
