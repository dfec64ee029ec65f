// Responses whose bodies come over time, as their clients see them: exact bytes over real sockets.

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <future>
#include <thread>

#include "base/file_descriptor.h"
#include "http/client.h"
#include "http/server.h"

namespace seam::http {
namespace {

class SilentVoice final : public Voice {
 public:
  Response refuse(const Request*, const Refusal& refusal) override {
    return Response::json(refusal.status, "{}");
  }
  std::optional<Response> admit(const Request&) override { return std::nullopt; }
  void finish(const Request&, Response&) override {}
};

// Gives the words and ends.
class Words final : public BodyStream {
 public:
  explicit Words(std::vector<std::string> words) : words_(std::move(words)) {}
  Task<std::string> next() override {
    if (next_ == words_.size()) co_return std::string();
    if (next_ % 2 == 1) co_await EventLoop::current()->yield();  // at once, and later
    co_return words_[next_++];
  }

 private:
  std::vector<std::string> words_;
  std::size_t next_ = 0;
};

// What a test sees of a stream without an end.
struct Seen {
  std::atomic<std::size_t> parts{0};
  std::promise<void> begun;
  std::promise<void> ended;
};

constexpr std::size_t kPartBytes = 32U << 10U;

// Gives parts for as long as they are taken.
class Endless final : public BodyStream {
 public:
  Endless(Seen& seen, std::stop_token gone) : seen_(seen), gone_(std::move(gone)) {}
  ~Endless() override { seen_.ended.set_value(); }
  Task<std::string> next() override {
    if (gone_.stop_requested()) co_return std::string();
    if (seen_.parts++ == 0) seen_.begun.set_value();
    co_return std::string(kPartBytes, 'x');
  }

 private:
  Seen& seen_;
  std::stop_token gone_;
};

// Gives one part, then nothing until the client is gone or the server drains.
class Waiting final : public BodyStream {
 public:
  Waiting(Seen& seen, std::stop_token gone) : seen_(seen), gone_(std::move(gone)) {}
  ~Waiting() override { seen_.ended.set_value(); }
  Task<std::string> next() override {
    if (seen_.parts++ == 0) co_return std::string("first\n");
    seen_.begun.set_value();
    OneShot<bool> stopped;
    const std::stop_callback on_stop(gone_, [&stopped] { stopped.set(true); });
    co_await stopped;
    co_return std::string();
  }

 private:
  Seen& seen_;
  std::stop_token gone_;
};

class StreamTest : public testing::Test {
 protected:
  StreamTest() {
    add("/words", &StreamTest::words);
    add("/endless", &StreamTest::endless);
    add("/waiting", &StreamTest::waiting);
    add("/plain", &StreamTest::plain);
  }
  ~StreamTest() override { stop(); }

  static Response streamed(std::unique_ptr<BodyStream> stream) {
    Response response;
    response.content_type = "text/plain";
    response.stream = std::move(stream);
    return response;
  }
  Task<Response> words(Request&) {
    co_return streamed(std::make_unique<Words>(std::vector<std::string>{"one ", "two ", "three"}));
  }
  Task<Response> endless(Request& request) {
    co_return streamed(std::make_unique<Endless>(seen_, request.gone));
  }
  Task<Response> waiting(Request& request) {
    co_return streamed(std::make_unique<Waiting>(seen_, request.gone));
  }
  Task<Response> plain(Request&) { co_return Response::json(200, "{}"); }

  void add(std::string path, Task<Response> (StreamTest::*handler)(Request&)) {
    routes_.add({.method = Method::kGet, .path = path, .operation = path, .summary = "A test."},
                bind(this, handler));
  }
  void serve(ServerOptions options = {}) {
    options.port = 0;
    EventLoop* loop = &loop_;
    server_.emplace(options, routes_, voice_, std::span(&loop, 1));
    ASSERT_TRUE(server_->listen().has_value());
    thread_ = std::thread([loop] { loop->run(); });
  }
  void drain() {
    std::promise<void> done;
    loop_.post([&] {
      start(server_->drain(Deadline::after(seconds(60))), [&done] { done.set_value(); });
    });
    done.get_future().wait();
  }
  void stop() {
    if (!thread_.joinable()) return;
    drain();
    loop_.stop();
    thread_.join();
  }
  [[nodiscard]] FileDescriptor connect(int receive_bytes = 0) const {
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_bytes > 0)
      ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof receive_bytes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static void send(const FileDescriptor& socket, std::string_view bytes) {
    EXPECT_EQ(::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  static std::string read_until(const FileDescriptor& socket, std::string_view end) {
    std::string bytes;
    char c = 0;
    while (!bytes.ends_with(end) && ::recv(socket.get(), &c, 1, 0) == 1) bytes += c;
    return bytes;
  }
  static std::string read_all(const FileDescriptor& socket) {
    std::string bytes;
    std::array<char, 65536> part;
    for (;;) {
      const ssize_t count = ::recv(socket.get(), part.data(), part.size(), 0);
      if (count <= 0) return count == 0 ? bytes : bytes + "<reset>";
      bytes.append(part.data(), static_cast<std::size_t>(count));
    }
  }
  // The answer's bytes with another text for the date.
  static std::string dateless(std::string bytes) {
    for (std::size_t at = 0; (at = bytes.find("Date: ", at)) != std::string::npos; at += 7)
      bytes.replace(at + 6, 29, "D");
    return bytes;
  }

  SilentVoice voice_;
  RouteTable routes_;
  Seen seen_;
  EventLoop loop_{"test"};
  std::optional<Server> server_;
  std::thread thread_;
};

TEST_F(StreamTest, PartsAreChunksAndTheConnectionGoesOn) {
  serve();
  const FileDescriptor socket = connect();
  send(socket,
       "GET /words HTTP/1.1\r\nHost: x\r\n\r\n"
       "GET /words HTTP/1.1\r\nHost: x\r\n\r\n"
       "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer =
      "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
      "4\r\none \r\n4\r\ntwo \r\n5\r\nthree\r\n0\r\n\r\n";
  EXPECT_EQ(dateless(read_all(socket)),
            answer + answer +
                "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
}

TEST_F(StreamTest, TheEndOfTheConnectionEndsItForHttp10) {
  serve();
  const FileDescriptor socket = connect();
  send(socket, "GET /words HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(dateless(read_all(socket)),
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n"
            "one two three");
}

TEST_F(StreamTest, HeadAsksForNoPart) {
  serve();
  const FileDescriptor socket = connect();
  send(socket,
       "HEAD /endless HTTP/1.1\r\nHost: x\r\n\r\n"
       "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(dateless(read_all(socket)),
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\n"
            "Transfer-Encoding: chunked\r\n\r\n"
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: application/json\r\n"
            "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
  seen_.ended.get_future().wait();
  EXPECT_EQ(seen_.parts, 0U);
}

// A client that reads nothing is asked for no more than its socket takes, and is cut off in the
// end.
TEST_F(StreamTest, ASlowClientHoldsBackTheStreamAndIsCutOff) {
  serve({.write_timeout = milliseconds(100)});
  const FileDescriptor socket = connect(4096);
  send(socket, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  seen_.ended.get_future().wait();
  EXPECT_LT(seen_.parts * kPartBytes, 64U << 20U);  // what socket buffers may hold at most
}

TEST_F(StreamTest, AFastStreamLeavesTheLoopToOthers) {
  serve();
  const FileDescriptor socket = connect();
  send(socket, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  std::atomic<bool> enough = false;
  std::thread reader([&] {
    std::array<char, 1U << 18U> part;
    while (!enough && ::recv(socket.get(), part.data(), part.size(), 0) > 0) {
    }
    ::shutdown(socket.get(), SHUT_RDWR);
  });
  seen_.begun.get_future().wait();
  for (int i = 0; i < 20; ++i) {
    const FileDescriptor other = connect();
    send(other, "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    EXPECT_TRUE(read_all(other).ends_with("{}"));
  }
  enough = true;
  reader.join();
  seen_.ended.get_future().wait();
}

TEST_F(StreamTest, AClientThatGoesEndsIt) {
  serve();
  FileDescriptor socket = connect();
  send(socket, "GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(read_until(socket, "first\n").ends_with("\r\n\r\n6\r\nfirst\n"));
  seen_.begun.get_future().wait();
  socket.reset();
  seen_.ended.get_future().wait();
}

TEST_F(StreamTest, AClientThatIsResetEndsIt) {
  serve();
  FileDescriptor socket = connect();
  send(socket, "GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n");
  seen_.begun.get_future().wait();
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  socket.reset();
  seen_.ended.get_future().wait();
}

TEST_F(StreamTest, DrainEndsItAsIfItWereWhole) {
  serve();
  FileDescriptor socket = connect();
  send(socket, "GET /waiting HTTP/1.1\r\nHost: x\r\n\r\n");
  seen_.begun.get_future().wait();
  std::thread drainer([this] { drain(); });
  EXPECT_TRUE(read_all(socket).ends_with("6\r\nfirst\n\r\n0\r\n\r\n"));
  socket.reset();
  drainer.join();
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(StreamTest, DrainCutsOffAStreamWhoseClientDoesNotRead) {
  serve();
  const FileDescriptor socket = connect(4096);
  send(socket, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
  seen_.begun.get_future().wait();
  std::promise<void> done;
  loop_.post(
      [&] { start(server_->drain(Deadline::after(milliseconds(50))), [&] { done.set_value(); }); });
  done.get_future().wait();
  EXPECT_EQ(server_->connections(), 0U);
  seen_.ended.get_future().wait();
}

TEST_F(StreamTest, TheClientTakesPartsAsTheyCome) {
  serve();
  std::string got;
  ClientRequest request{.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/words"};
  request.on_body = [&got](std::string_view part) {
    got += part;
    return true;
  };
  const Result<ClientResponse> answer = fetch(request);
  ASSERT_TRUE(answer.has_value()) << answer.error().message;
  EXPECT_EQ(got, "one two three");
  EXPECT_EQ(answer->body, "");
}

TEST_F(StreamTest, TheClientGivesUpWhenItIsTold) {
  serve();
  const FileDescriptor stop(::eventfd(0, EFD_CLOEXEC));
  ClientRequest request{.url = "http://127.0.0.1:" + std::to_string(server_->port()) + "/waiting",
                        .stop_fd = stop.get()};
  request.on_body = [&stop](std::string_view part) {
    if (part.empty()) return true;  // the head has come
    EXPECT_EQ(part, "first\n");
    EXPECT_EQ(::eventfd_write(stop.get(), 1), 0);
    return true;
  };
  const Result<ClientResponse> answer = fetch(request);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().code, ErrorCode::kCancelled);
  seen_.ended.get_future().wait();
}

}  // namespace
}  // namespace seam::http
