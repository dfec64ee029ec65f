// The server as its clients see it: exact bytes over real sockets on loopback.

#include "http/server.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <map>
#include <regex>
#include <thread>

#include "base/file_descriptor.h"
#include "http/client.h"

namespace seam::http {
namespace {

// Says what it refuses in one line of text, lets everything in but a wrong Host, and marks each
// answer.
class PlainVoice final : public Voice {
 public:
  Response refuse(const Request* request, const Refusal& refusal) override {
    return {.status = refusal.status,
            .content_type = "text/plain",
            .body = (request == nullptr ? "" : std::string(request->path) + ": ") + refusal.message,
            .headers = {}};
  }
  std::optional<Response> admit(const Request& request) override {
    if (request.header("host") != "evil.example") return std::nullopt;
    return Response{
        .status = 403, .content_type = "text/plain", .body = "wrong host", .headers = {}};
  }
  void finish(const Request&, Response& response) override {
    response.headers.emplace_back("X-Finished", "yes");
  }
};

// Handlers, and what they meet. Each runs on a server thread.
class Handlers {
 public:
  Task<Response> echo(Request& request, JsonBody body) {
    co_return Response::json(200, fmt::format("{}:{}", request.method == Method::kPost, body.text));
  }
  Task<Response> hello(Request& request) {
    co_return Response{.status = 200,
                       .content_type = "text/plain",
                       .body = "hello " + std::string(request.query),
                       .headers = {}};
  }
  Task<Response> typed(Request&, Path<"name"> name, Query<"page", int> page,
                       Query<"full", bool> full, Header<"X-Tag"> tag) {
    co_return Response::json(200,
                             fmt::format("{}|{}|{}|{}", name.value, page.value.value_or(-1),
                                         full.value.value_or(false), tag.value.value_or("none")));
  }
  Task<Response> raw(Request& request) {
    co_return Response::json(200, fmt::format("{}", request.body.size()));
  }
  Task<Response> large(Request&, Query<"bytes", int> bytes) {
    co_return Response::json(200, std::string(static_cast<std::size_t>(*bytes.value), 'x'));
  }
  Task<Response> empty(Request&) { co_return Response::empty(204); }
  Task<Response> split(Request&) {
    Response response = Response::json(200, "{}");
    response.headers.emplace_back("X-Bad", "a\r\nX-Injected: b");
    co_return response;
  }
  // Ends after the other work of the loop.
  Task<Response> later(Request& request) {
    const std::string query(request.query);
    co_await EventLoop::current()->yield();
    co_return Response::json(200, "later " + query);
  }
  // Waits until the client is gone.
  Task<Response> wait_gone(Request& request) {
    EventLoop* const loop = EventLoop::current();
    waiting.set_value();
    OneShot<bool> stopped;
    {
      const std::stop_callback on_stop(request.gone,
                                       [&] { loop->post([&stopped] { stopped.set(true); }); });
      co_await stopped;
    }
    gone.set_value();
    co_return Response::json(200, "{}");
  }
  // Waits until the test lets it go on.
  Task<Response> wait_release(Request&) {
    OneShot<bool> go;
    released_by = [loop = EventLoop::current(), &go] { loop->post([&go] { go.set(true); }); };
    waiting.set_value();
    co_await go;
    co_return Response::json(200, "\"released\"");
  }

  std::promise<void> waiting;
  std::promise<void> gone;
  std::function<void()> released_by;
};

class ServerTest : public testing::Test {
 protected:
  ~ServerTest() override { stop(); }

  void serve(ServerOptions options = {}, int threads = 2) {
    options.port = 0;
    routes_.add({.method = Method::kPost,
                 .path = "/echo",
                 .operation = "echo",
                 .summary = "Echoes.",
                 .responses = {},
                 .body_bytes_max = 1000,
                 .parameters = {}},
                bind(&handlers_, &Handlers::echo));
    routes_.add(get("/hello"), bind(&handlers_, &Handlers::hello));
    routes_.add(get("/typed/{name}"), bind(&handlers_, &Handlers::typed));
    RouteInfo raw = get("/raw");
    raw.method = Method::kPut;
    raw.body_bytes_max = 20U << 20U;
    routes_.add(raw, bind(&handlers_, &Handlers::raw));
    routes_.add(get("/large"), bind(&handlers_, &Handlers::large));
    routes_.add(get("/empty"), bind(&handlers_, &Handlers::empty));
    routes_.add(get("/split"), bind(&handlers_, &Handlers::split));
    routes_.add(get("/later"), bind(&handlers_, &Handlers::later));
    routes_.add(get("/gone"), bind(&handlers_, &Handlers::wait_gone));
    routes_.add(get("/release"), bind(&handlers_, &Handlers::wait_release));
    std::vector<EventLoop*> pointers;
    for (int i = 0; i < threads; ++i)
      pointers.push_back(loops_.emplace_back(std::make_unique<EventLoop>("test")).get());
    server_.emplace(options, routes_, voice_, pointers);
    ASSERT_TRUE(server_->listen().has_value());
    for (EventLoop* loop : pointers) threads_.emplace_back([loop] { loop->run(); });
  }
  static RouteInfo get(std::string path) {
    return {.method = Method::kGet,
            .path = path,
            .operation = path,
            .summary = "A test.",
            .responses = {},
            .body_bytes_max = 0,
            .parameters = {}};
  }
  // Drains on the first loop and returns when that is done.
  void drain(nanoseconds span = seconds(20)) {
    std::promise<void> done;
    loops_[0]->post([&] {
      start(run_drain(*server_, Deadline::after(span)), [&](bool) { done.set_value(); });
    });
    done.get_future().wait();
  }
  static Task<bool> run_drain(Server& server, Deadline deadline) {
    co_await server.drain(deadline);
    co_return true;
  }
  void stop() {
    if (threads_.empty()) return;
    drain(seconds(0));
    for (auto& loop : loops_) loop->stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    server_.reset();
  }
  [[nodiscard]] FileDescriptor connect() const {
    FileDescriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server_->port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return socket;
  }
  static void send_all(const FileDescriptor& socket, std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t count = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  // Everything until the server closes.
  static std::string read_all(const FileDescriptor& socket) {
    std::string bytes;
    std::array<char, 65536> part;
    for (;;) {
      const ssize_t count = ::recv(socket.get(), part.data(), part.size(), 0);
      if (count < 0) return bytes + "<reset>";
      if (count == 0) return bytes;
      bytes.append(part.data(), static_cast<std::size_t>(count));
    }
  }
  static std::string read_until(const FileDescriptor& socket, std::string_view end) {
    std::string bytes;
    char c = 0;
    while (!bytes.ends_with(end) && ::recv(socket.get(), &c, 1, 0) == 1) bytes += c;
    return bytes;
  }
  // Sends on a new connection and reads to its end; the Date becomes "Date: D".
  [[nodiscard]] std::string exchange(std::string_view bytes) const {
    const FileDescriptor socket = connect();
    send_all(socket, bytes);
    return dateless(read_all(socket));
  }
  static std::string dateless(std::string bytes) {
    static const std::regex date(
        "[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT");
    for (std::size_t at = 0; (at = bytes.find("Date: ", at)) != std::string::npos; at += 7)
      if (std::regex_match(bytes.substr(at + 6, 29), date)) bytes.replace(at + 6, 29, "D");
    return bytes;
  }
  // The answer of a refusal that closes before any handler was known.
  static std::string refusal(std::string_view status, std::string_view message) {
    return fmt::format(
        "HTTP/1.1 {}\r\nDate: D\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n"
        "Connection: close\r\n\r\n{}",
        status, message.size(), message);
  }
  static std::string answer(std::string_view status, std::string_view type, std::string_view body,
                            std::string_view fields = "X-Finished: yes\r\n") {
    return fmt::format(
        "HTTP/1.1 {}\r\nDate: D\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\r\n{}", status,
        type, body.size(), fields, body);
  }
  static std::size_t count_of(std::string_view text, std::string_view part) {
    std::size_t count = 0;
    for (std::size_t at = text.find(part); at != std::string_view::npos;
         at = text.find(part, at + part.size()))
      ++count;
    return count;
  }

  PlainVoice voice_;
  Handlers handlers_;
  RouteTable routes_;
  std::vector<std::unique_ptr<EventLoop>> loops_;
  std::optional<Server> server_;
  std::vector<std::thread> threads_;
};

constexpr std::string_view kClosed = "X-Finished: yes\r\nConnection: close\r\n";

TEST_F(ServerTest, KeepsAConnectionAndClosesWhenAsked) {
  serve();
  EXPECT_EQ(exchange("GET /hello?a HTTP/1.1\r\nHost: x\r\n\r\n"
                     "GET /hello?b HTTP/1.1\r\nHost: x\r\nConnection: foo, Close\r\n\r\n"
                     "GET /hello?c HTTP/1.1\r\nHost: x\r\n\r\n"),
            answer("200 OK", "text/plain", "hello a") +
                answer("200 OK", "text/plain", "hello b", kClosed));
}

TEST_F(ServerTest, Http10ClosesUnlessAskedToKeep) {
  serve();
  EXPECT_EQ(
      exchange("GET /hello?a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
               "GET /hello?b HTTP/1.0\r\n\r\n"),
      answer("200 OK", "text/plain", "hello a", "X-Finished: yes\r\nConnection: keep-alive\r\n") +
          answer("200 OK", "text/plain", "hello b", kClosed));
}

TEST_F(ServerTest, HeadHasTheLengthAndNoBody) {
  serve();
  EXPECT_EQ(exchange("HEAD /hello?abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n"
            "X-Finished: yes\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(exchange("HEAD /large?bytes=100000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 200 OK\r\nDate: D\r\nContent-Type: application/json\r\n"
            "Content-Length: 100000\r\nX-Finished: yes\r\nConnection: close\r\n\r\n");
}

TEST_F(ServerTest, NoContentHasNeitherLengthNorType) {
  serve();
  EXPECT_EQ(exchange("GET /empty HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 204 No Content\r\nDate: D\r\nX-Finished: yes\r\nConnection: close\r\n\r\n");
}

TEST_F(ServerTest, AFieldOfAHandlerCannotSplitTheResponse) {
  serve();
  EXPECT_EQ(exchange("GET /split HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            answer("200 OK", "application/json", "{}",
                   "X-Bad: a  X-Injected: b\r\nX-Finished: yes\r\nConnection: close\r\n"));
}

TEST_F(ServerTest, OptionsSaysWhatIsAllowed) {
  serve();
  EXPECT_EQ(exchange("OPTIONS /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                     "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"
                     "OPTIONS /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 204 No Content\r\nDate: D\r\nAllow: GET, HEAD, OPTIONS\r\n"
            "X-Finished: yes\r\n\r\n"
            "HTTP/1.1 204 No Content\r\nDate: D\r\n"
            "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\nX-Finished: yes\r\n\r\n" +
                answer("404 Not Found", "text/plain", "/nowhere: nothing is at /nowhere", kClosed));
}

TEST_F(ServerTest, UnknownPathAndMethodKeepTheConnection) {
  serve();
  EXPECT_EQ(exchange("GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"
                     "DELETE /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                     "POST /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                     "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            answer("404 Not Found", "text/plain", "/nowhere: nothing is at /nowhere") +
                answer("405 Method Not Allowed", "text/plain",
                       "/hello: DELETE is not allowed at /hello: use one of GET, HEAD, OPTIONS",
                       "Allow: GET, HEAD, OPTIONS\r\nX-Finished: yes\r\n") +
                answer("405 Method Not Allowed", "text/plain",
                       "/hello: POST is not allowed at /hello: use one of GET, HEAD, OPTIONS",
                       "Allow: GET, HEAD, OPTIONS\r\nX-Finished: yes\r\n") +
                answer("200 OK", "text/plain", "hello ", kClosed));
}

TEST_F(ServerTest, TheVoiceDecidesWhoIsLetIn) {
  serve();
  // The host of an absolute target counts, whatever Host says.
  EXPECT_EQ(exchange("GET /hello HTTP/1.1\r\nHost: evil.example\r\n\r\n"
                     "GET http://evil.example/hello HTTP/1.1\r\nHost: x\r\n\r\n"
                     "GET http://x?q HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"),
            answer("403 Forbidden", "text/plain", "wrong host") +
                answer("403 Forbidden", "text/plain", "wrong host") +
                answer("404 Not Found", "text/plain", "/: nothing is at /", kClosed));
}

TEST_F(ServerTest, MalformedHeadsAreRefusedAndTheConnectionCloses) {
  serve();
  const std::vector<std::array<std::string_view, 3>> cases = {
      {"\x16\x03\x01\r\n\r\n", "400 Bad Request",
       "malformed request line: '?\?\?' does not begin with a method"},
      {"GET\r\n\r\n", "400 Bad Request",
       "malformed request line: 'GET' does not begin with a method"},
      {"GET /\r\n\r\n", "400 Bad Request",
       "malformed request line: no HTTP version after the target"},
      {"GET  / HTTP/1.1\r\n\r\n", "400 Bad Request",
       "malformed request line: '' is not a request target"},
      {"GET /a#b HTTP/1.1\r\n\r\n", "400 Bad Request",
       "malformed request line: '/a#b' is not a request target"},
      {"GET / HTTP/1.1 \r\n\r\n", "400 Bad Request",
       "malformed request line: 'HTTP/1.1 ' is not an HTTP version"},
      {"GET / http/1.1\r\n\r\n", "400 Bad Request",
       "malformed request line: 'http/1.1' is not an HTTP version"},
      {"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "505 HTTP Version Not Supported",
       "HTTP/2.0 is not served here: use HTTP/1.1"},
      {"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", "501 Not Implemented",
       "the method 'TRACE' is not implemented"},
      {"GET x HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
       "the request target 'x' is neither a path nor an http:// URL"},
      {"GET http:///a HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
       "the request target 'http:///a' names no host"},
      {"GET http://u@h/a HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request",
       "the request target 'http://u@h/a' names no host"},
      {"GET / HTTP/1.1\r\n\r\n", "400 Bad Request", "the request has no Host field"},
      {"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "400 Bad Request",
       "the request has two Host fields"},
      {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 Bad Request", "Host: 'a, b' is not a host"},
      {"GET / HTTP/1.1\nHost: a\n\n", "400 Bad Request",
       "a line of the head does not end in CR LF"},
      {"GET / HTTP/1.1\r\nHost: a\r\n\n", "400 Bad Request",
       "a line of the head does not end in CR LF"},
      {"GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", "400 Bad Request",
       "a field is folded over two lines, which HTTP/1.1 forbids"},
      {"GET / HTTP/1.1\r\nHost : a\r\n\r\n", "400 Bad Request", "malformed field: 'Host : a'"},
      {"GET / HTTP/1.1\r\n: a\r\n\r\n", "400 Bad Request", "malformed field: ': a'"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", "400 Bad Request", "malformed field: 'X'"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", "400 Bad Request",
       "the field X holds a control character"},
      {std::string_view("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", 35), "400 Bad Request",
       "the field X holds a control character"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
       "400 Bad Request", "the request has both Content-Length and Transfer-Encoding"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
       "400 Bad Request", "the request has two Content-Length fields that differ"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "400 Bad Request",
       "Content-Length: '1, 1' is not a number"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", "400 Bad Request",
       "Content-Length: '+1' is not a number"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n",
       "400 Bad Request", "Content-Length: '18446744073709551616' is too large"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
       "501 Not Implemented", "the transfer coding 'gzip' is not implemented: use chunked"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
       "400 Bad Request", "Transfer-Encoding: chunked is given twice"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", "400 Bad Request",
       "Transfer-Encoding: a coding is missing"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"
       "Transfer-Encoding: chunked\r\n\r\n",
       "400 Bad Request", "the request has two Transfer-Encoding fields"},
      {"POST /raw HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request",
       "HTTP/1.0 has no Transfer-Encoding"},
      {"POST /raw HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", "417 Expectation Failed",
       "Expect: 'miracles' cannot be met: only 100-continue can"},
  };
  for (const auto& [request, status, message] : cases)
    EXPECT_EQ(exchange(request), refusal(status, message)) << request;
  // Also where more comes behind: the answer is not lost to a reset.
  EXPECT_EQ(exchange("GET / HTTP/1.1\r\n\r\n" + std::string(200'000, 'x')),
            refusal("400 Bad Request", "the request has no Host field"));
}

TEST_F(ServerTest, HeadsOverTheLimitsAreRefused) {
  serve({.head_bytes_max = 1000, .fields_max = 3});
  EXPECT_EQ(exchange("GET /" + std::string(2000, 'a')),
            refusal("431 Request Header Fields Too Large",
                    "the head of the request is longer than 1000 bytes"));
  EXPECT_EQ(exchange("GET / HTTP/1.1\r\nHost: x\r\nX: " + std::string(1000, 'a') + "\r\n\r\n"),
            refusal("431 Request Header Fields Too Large",
                    "the head of the request is longer than 1000 bytes"));
  EXPECT_EQ(exchange("GET / HTTP/1.1\r\nHost: x\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n"),
            refusal("431 Request Header Fields Too Large", "the request has more than 3 fields"));
}

TEST_F(ServerTest, HeadsUpToTheLimitAreServed) {
  serve();
  std::string request =
      "PUT /raw HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
      "Content-Length: 100000\r\nX: ";
  request += std::string((32U << 10U) - request.size() - 4, 'a') + "\r\n\r\n";
  EXPECT_EQ(exchange(request + std::string(100'000, 'b')),
            answer("200 OK", "application/json", "100000", kClosed));
}

TEST_F(ServerTest, ByteByByteIsTheSame) {
  serve();
  const std::string_view stream =
      "\r\nPOST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
      "Content-Length: 7\r\n\r\n{\"a\":1}"
      "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json; charset=utf-8\r\n"
      "Transfer-Encoding: chunked\r\n\r\n3;x=\"y\"\r\n{\"b\r\n04\r\n\":2}\r\n0\r\nTrailer: "
      "z\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string expected = answer("200 OK", "application/json", "true:{\"a\":1}") +
                               answer("200 OK", "application/json", "true:{\"b\":2}") +
                               answer("200 OK", "text/plain", "hello ", kClosed);
  EXPECT_EQ(exchange(stream), expected);
  const FileDescriptor socket = connect();
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
  for (const char& c : stream) send_all(socket, {&c, 1});
  EXPECT_EQ(dateless(read_all(socket)), expected);
}

TEST_F(ServerTest, BodiesAreCheckedBeforeTheyAreRead) {
  serve();
  const auto post = [](std::string_view fields) {
    return fmt::format("POST /echo HTTP/1.1\r\nHost: x\r\n{}\r\n", fields);
  };
  // None of these sends its body.
  EXPECT_EQ(exchange(post("Content-Type: application/json\r\nContent-Length: 1001\r\n")),
            answer("413 Content Too Large", "text/plain",
                   "/echo: the body has 1001 bytes and the limit is 1000", kClosed));
  EXPECT_EQ(exchange(post("Content-Type: text/json\r\nContent-Length: 10\r\n")),
            answer("415 Unsupported Media Type", "text/plain",
                   "/echo: the Content-Type is 'text/json': send application/json", kClosed));
  EXPECT_EQ(exchange(post("Content-Length: 10\r\n")),
            answer("415 Unsupported Media Type", "text/plain",
                   "/echo: the request has no Content-Type: send application/json", kClosed));
  EXPECT_EQ(exchange("GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n"),
            answer("413 Content Too Large", "text/plain",
                   "/hello: the body has 65537 bytes and the limit is 0", kClosed));
  EXPECT_EQ(
      exchange("GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n"
               "Expect: 100-continue\r\n\r\n"),
      answer("417 Expectation Failed", "text/plain", "/hello: /hello takes no body", kClosed));
  // Chunked: refused as soon as a chunk is announced that is too much.
  EXPECT_EQ(exchange(post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") +
                     "3\r\nabc\r\n3e6\r\n"),
            answer("413 Content Too Large", "text/plain",
                   "/echo: the body is longer than the limit of 1000 bytes", kClosed));
  for (const std::string_view chunks :
       {"x\r\n", "3\nabc", "3 \r\nabc\r\n", "3\r\nabcd", "-1\r\n", "\r\n", "11111111111111111\r\n",
        "3\r\nabc\r\n0\r\n X: y\r\n\r\n", "3;\x01\r\n"})
    EXPECT_EQ(exchange(post("Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n") +
                       std::string(chunks)),
              answer("400 Bad Request", "text/plain",
                     "/echo: the chunked coding of the body is malformed", kClosed))
        << chunks;
}

TEST_F(ServerTest, ABodyThatNobodyWantsIsPassedOver) {
  serve();
  EXPECT_EQ(exchange("GET /hello HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
                     "GET /hello HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "3\r\nabc\r\n0\r\n\r\n"
                     "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
            answer("200 OK", "text/plain", "hello ") + answer("200 OK", "text/plain", "hello ") +
                answer("200 OK", "text/plain", "hello ", kClosed));
}

TEST_F(ServerTest, ContinueIsSentWhenTheBodyIsWanted) {
  serve();
  const FileDescriptor socket = connect();
  send_all(socket,
           "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
           "Content-Length: 2\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(read_until(socket, "\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  send_all(socket, "{}");
  EXPECT_EQ(dateless(read_all(socket)), answer("200 OK", "application/json", "true:{}", kClosed));
}

TEST_F(ServerTest, PipelinedRequestsAreAnsweredInOrder) {
  serve();
  std::string requests;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    const bool last = i == 99;
    const std::string_view path = i % 3 == 0 ? "later" : "hello";
    requests += fmt::format("GET /{}?{} HTTP/1.1\r\nHost: x\r\n{}\r\n", path, i,
                            last ? "Connection: close\r\n" : "");
    expected += answer("200 OK", i % 3 == 0 ? "application/json" : "text/plain",
                       fmt::format("{} {}", path, i), last ? kClosed : "X-Finished: yes\r\n");
  }
  EXPECT_EQ(exchange(requests), expected);
}

TEST_F(ServerTest, LargeBodiesInBothDirections) {
  serve();
  const std::string body(10U << 20U, 'y');
  const auto length =
      exchange(fmt::format("PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n"
                           "Connection: close\r\n\r\n{}",
                           body.size(), body));
  EXPECT_EQ(length, answer("200 OK", "application/json", "10485760", kClosed));
  std::string chunked =
      "PUT /raw HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
      "Connection: close\r\n\r\n";
  for (int i = 0; i < 10; ++i) chunked += "100000\r\n" + body.substr(0, 1U << 20U) + "\r\n";
  EXPECT_EQ(exchange(chunked + "0\r\n\r\n"),
            answer("200 OK", "application/json", "10485760", kClosed));
  // Two large answers, with small ones around them.
  const std::string answers = exchange(
      "GET /hello HTTP/1.1\r\nHost: x\r\n\r\nGET /large?bytes=9000000 HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /large?bytes=5000000 HTTP/1.1\r\nHost: x\r\n\r\n"
      "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(answers == answer("200 OK", "text/plain", "hello ") +
                             answer("200 OK", "application/json", std::string(9'000'000, 'x')) +
                             answer("200 OK", "application/json", std::string(5'000'000, 'x')) +
                             answer("200 OK", "text/plain", "hello ", kClosed));
}

TEST_F(ServerTest, SlowHeadsAndBodiesAreRefused) {
  serve({.head_timeout = milliseconds(40), .body_timeout = milliseconds(40)});
  EXPECT_EQ(exchange("GET /hello HT"),
            refusal("408 Request Timeout", "the head of the request did not come in time"));
  EXPECT_EQ(exchange("PUT /raw HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"),
            answer("408 Request Timeout", "text/plain",
                   "/raw: the body of the request did not come in time", kClosed));
}

TEST_F(ServerTest, IdleConnectionsAreClosed) {
  serve({.idle_timeout = milliseconds(40)});
  EXPECT_EQ(exchange("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
            answer("200 OK", "text/plain", "hello "));
  EXPECT_EQ(exchange(""), "");
}

TEST_F(ServerTest, AReaderThatDoesNotReadIsCutOff) {
  serve({.write_timeout = milliseconds(40)});
  const FileDescriptor socket = connect();
  send_all(socket, "GET /large?bytes=100000000 HTTP/1.1\r\nHost: x\r\n\r\n");
  while (server_->connections() == 0) std::this_thread::yield();
  while (server_->connections() > 0) std::this_thread::yield();
  EXPECT_LT(read_all(socket).size(), 100'000'000U);
}

TEST_F(ServerTest, AHandlerLearnsThatItsClientIsGone) {
  serve();
  FileDescriptor socket = connect();
  send_all(socket, "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n");
  handlers_.waiting.get_future().wait();
  socket.reset();
  handlers_.gone.get_future().wait();
  while (server_->connections() > 0) std::this_thread::yield();
}

TEST_F(ServerTest, AHandlerLearnsThatItsClientIsReset) {
  serve();
  FileDescriptor socket = connect();
  send_all(socket, "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n");
  handlers_.waiting.get_future().wait();
  const linger now{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now);
  socket.reset();
  handlers_.gone.get_future().wait();
  while (server_->connections() > 0) std::this_thread::yield();
}

TEST_F(ServerTest, AClientThatHasFinishedSendingStillGetsItsAnswers) {
  serve();
  const FileDescriptor socket = connect();
  send_all(socket,
           "GET /hello?1 HTTP/1.1\r\nHost: x\r\n\r\nGET /later?2 HTTP/1.1\r\nHost: x\r\n\r\n");
  ::shutdown(socket.get(), SHUT_WR);
  EXPECT_EQ(dateless(read_all(socket)), answer("200 OK", "text/plain", "hello 1") +
                                            answer("200 OK", "application/json", "later 2"));
}

TEST_F(ServerTest, DrainWaitsForHandlersAndClosesTheRest) {
  serve();
  FileDescriptor busy = connect();
  send_all(busy, "GET /release HTTP/1.1\r\nHost: x\r\n\r\n");
  handlers_.waiting.get_future().wait();
  // On each loop, that of the busy one too: when these are closed, all loops drain.
  std::array<FileDescriptor, 4> idle;
  for (FileDescriptor& each : idle) each = connect();
  while (server_->connections() < 5) std::this_thread::yield();
  std::thread drainer([this] { drain(); });
  for (const FileDescriptor& each : idle) EXPECT_EQ(read_all(each), "");
  while (server_->connections() > 1) std::this_thread::yield();
  handlers_.released_by();
  EXPECT_EQ(dateless(read_all(busy)),
            answer("200 OK", "application/json", "\"released\"", kClosed));
  busy.reset();
  drainer.join();
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(ServerTest, DrainCutsWhatDoesNotEndInTime) {
  serve();
  const FileDescriptor busy = connect();
  send_all(busy, "GET /gone HTTP/1.1\r\nHost: x\r\n\r\n");
  handlers_.waiting.get_future().wait();
  drain(milliseconds(10));
  handlers_.gone.get_future().wait();
  EXPECT_EQ(read_all(busy), "");
}

TEST_F(ServerTest, TooManyConnectionsAreToldSo) {
  serve({.connections_max = 2});
  const FileDescriptor one = connect();
  const FileDescriptor two = connect();
  while (server_->connections() < 2) std::this_thread::yield();
  EXPECT_EQ(exchange("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
            refusal("503 Service Unavailable", "too many connections are open: try again later"));
}

std::size_t open_descriptors() {
  std::size_t count = 0;
  DIR* const folder = ::opendir("/proc/self/fd");
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

TEST_F(ServerTest, AThousandConnectionsLeaveNoDescriptor) {
  serve();
  {  // each loop has made its own descriptors once it has served
    const FileDescriptor one = connect();
    const FileDescriptor two = connect();
    for (const FileDescriptor* socket : {&one, &two}) {
      send_all(*socket, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
      read_until(*socket, "hello ");
    }
  }
  while (server_->connections() > 0) std::this_thread::yield();
  const std::size_t before = open_descriptors();
  for (int round = 0; round < 10; ++round) {
    std::vector<FileDescriptor> sockets;
    for (int i = 0; i < 100; ++i) {
      sockets.push_back(connect());
      send_all(sockets.back(), i % 2 == 0 ? "GET /later HTTP/1.1\r\nHost: x\r\n\r\n" : "GET /he");
    }
    for (std::size_t i = 0; i < sockets.size(); i += 4)
      EXPECT_EQ(read_until(sockets[i], "later ").substr(0, 15), "HTTP/1.1 200 OK");
  }
  while (server_->connections() > 0) std::this_thread::yield();
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(ServerTest, ConnectionsAreSpreadOverTheLoops) {
  serve({}, 2);
  std::vector<FileDescriptor> sockets;
  for (int i = 0; i < 10; ++i) {
    sockets.push_back(connect());
    send_all(sockets.back(), "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    read_until(sockets.back(), "hello ");
  }
  EXPECT_EQ(server_->connections(), 10U);
}

TEST_F(ServerTest, APortThatIsTakenIsAnErrorWithItsRemedy) {
  serve();
  EventLoop loop("other");
  std::array<EventLoop*, 1> loops = {&loop};
  Server second({.port = server_->port()}, routes_, voice_, loops);
  const Result<void> result = second.listen();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error(),
            (Error{ErrorCode::kAlreadyExists,
                   fmt::format("port {} of 127.0.0.1 is taken by another program: stop that "
                               "program, or choose another port (0 takes any free one)",
                               server_->port()),
                   ""}));
  Server third({.host = "example.org"}, routes_, voice_, loops);
  EXPECT_EQ(third.listen().error().code, ErrorCode::kInvalidArgument);
}

TEST_F(ServerTest, ParametersAreReadOffTheHandlersSignature) {
  serve();
  const std::string base = fmt::format("http://127.0.0.1:{}", server_->port());
  const auto get_body = [&](std::string_view target) {
    const auto got = fetch({.url = base + std::string(target), .headers = {{"X-Tag", "t"}}});
    return got ? fmt::format("{} {}", got->status, got->body) : got.error().message;
  };
  EXPECT_EQ(get_body("/typed/a%20b+c?full=true&page=-3&other=%zz"), "200 a b+c|-3|true|t");
  EXPECT_EQ(get_body("/typed/x"), "200 x|-1|false|t");
  EXPECT_EQ(get_body("/typed/x?page=2147483648"),
            "400 /typed/x: query parameter 'page': '2147483648' is not an integer from "
            "-2147483648 to 2147483647");
  EXPECT_EQ(get_body("/typed/x?full=yes"),
            "400 /typed/x: query parameter 'full': 'yes' is not true or false");
  EXPECT_EQ(get_body("/typed/%zz").substr(0, 60),
            "400 /typed/%zz: path parameter 'name': '%zz' is not well enc");
}

TEST_F(ServerTest, TheClientPostsAndSaysWhatWentWrong) {
  serve();
  const std::string base = fmt::format("http://localhost:{}", server_->port());
  const auto posted = fetch({.method = Method::kPost,
                             .url = base + "/echo",
                             .headers = {{"Content-Type", "application/json"}},
                             .body = "{}"});
  ASSERT_TRUE(posted.has_value()) << posted.error().message;
  EXPECT_EQ(posted->status, 200);
  EXPECT_EQ(posted->body, "true:{}");
  const auto late = fetch({.url = base + "/release", .timeout = milliseconds(30)});
  EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
  handlers_.waiting.get_future().wait();
  handlers_.released_by();
  stop();
  EXPECT_EQ(fetch({.url = base}).error().code, ErrorCode::kUnavailable);
  for (const std::string_view bad : {"ftp://x", "http://", "http://a:0/", "http://a:b/",
                                     "http://[::1", "http://u@h/", "http://a/ b"})
    EXPECT_EQ(fetch({.url = std::string(bad)}).error().code, ErrorCode::kInvalidArgument) << bad;
}

}  // namespace
}  // namespace seam::http
