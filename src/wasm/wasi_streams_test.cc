// Streams that are somebody else's: what a guest writes goes there as it writes it, and what it
// reads comes from there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "wasm/wasi.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

using ::testing::ElementsAre;

class Source final : public WasiSource {
 public:
  explicit Source(std::vector<std::string> parts) : parts_(std::move(parts)) {}
  Outcome<std::size_t> read(std::span<std::byte> bytes) override {
    if (next_ == parts_.size()) return 0;
    const std::string& part = parts_[next_++];
    if (part == "!") return fail(ErrorCode::kHostFailed, "the line is dead");
    const std::size_t size = std::min(part.size(), bytes.size());
    std::memcpy(bytes.data(), part.data(), size);
    return size;
  }
  bool is_terminal() const override { return true; }

 private:
  std::vector<std::string> parts_;
  std::size_t next_ = 0;
};

class Sink final : public WasiSink {
 public:
  Outcome<> write(int stream, std::span<const std::byte> bytes) override {
    if (full) return fail(ErrorCode::kCancelled, "nobody listens");
    written.push_back(std::to_string(stream) + " " +
                      std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    return {};
  }
  bool is_terminal(int stream) const override { return stream == 2; }

  std::vector<std::string> written;
  bool full = false;
};

// Its exports: write(stream) writes "hello " and "there" in one call; echo() reads once and writes
// what it got to standard output; type(stream) is the file type of a stream.
constexpr std::string_view kGuest = R"((module
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_fdstat_get" (func $stat (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (data (i32.const 0) "\40\00\00\00\06\00\00\00\46\00\00\00\05\00\00\00")
  (data (i32.const 64) "hello there")
  (data (i32.const 128) "\00\02\00\00\00\00\00\00\00\02\00\00\08\00\00\00")  ;; 0 bytes, then 8
  (func (export "write") (param i32) (result i32)
    (call $write (local.get 0) (i32.const 0) (i32.const 2) (i32.const 32)))
  (func (export "echo") (result i32)
    (drop (call $read (i32.const 0) (i32.const 128) (i32.const 2) (i32.const 148)))
    (i32.store (i32.const 144) (i32.const 0x200))
    (drop (call $write (i32.const 1) (i32.const 144) (i32.const 1) (i32.const 32)))
    (i32.load (i32.const 148)))
  (func (export "type") (param i32) (result i32)
    (drop (call $stat (local.get 0) (i32.const 256)))
    (i32.load8_u (i32.const 256)))))";

class WasiStreamsTest : public ::testing::Test {
 protected:
  WasiStreamsTest() {
    add_wasi(host_);
    runtime_ = *make_wasmtime({.instances_max = 1});
    module_ = *runtime_->compile(*wasm_from_text(kGuest));
    both_ = *runtime_->instantiate_with_host(*module_, host_, {.state = &state_});
  }
  template <class... Args>
  Outcome<std::int32_t> call(std::string_view name, Args... args) {
    return both_.instance->function(name)->call<std::int32_t>(Deadline::never(), args...);
  }

  HostModule host_;
  WasiState state_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<CompiledModule> module_;
  Runtime::InstanceAndContext both_;
};

TEST_F(WasiStreamsTest, WritesGoToTheSinkAtOnce) {
  Sink sink;
  state_.sink = &sink;
  EXPECT_EQ(call("write", 1), 0);
  EXPECT_EQ(call("write", 2), 0);
  EXPECT_THAT(sink.written, ElementsAre("1 hello ", "1 there", "2 hello ", "2 there"));
  EXPECT_EQ(state_.standard_output.bytes, "");
  sink.full = true;
  const auto failed = call("write", 1);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kCancelled);
  EXPECT_EQ(failed.error().message, "nobody listens");
}

TEST_F(WasiStreamsTest, ReadsComeFromTheSourceAsItGivesThem) {
  Source source({"one", "eight bytes and more", "!"});
  state_.source = &source;
  state_.stdin_bytes = "not read";
  EXPECT_EQ(call("echo"), 3);
  EXPECT_EQ(state_.standard_output.bytes, "one");
  EXPECT_EQ(call("echo"), 8);
  EXPECT_EQ(state_.standard_output.bytes, "oneeight by");
  const auto failed = call("echo");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, ErrorCode::kHostFailed);
  EXPECT_EQ(state_.stdin_read, 0);
}

TEST_F(WasiStreamsTest, ATerminalIsACharacterDevice) {
  Source source({});
  Sink sink;
  const auto type = [](WasiFiletype each) { return static_cast<std::int32_t>(each); };
  for (int stream = 0; stream < 3; ++stream)
    EXPECT_EQ(call("type", stream), type(WasiFiletype::kUnknown)) << stream;
  state_.source = &source;
  state_.sink = &sink;
  EXPECT_EQ(call("type", 0), type(WasiFiletype::kCharacterDevice));
  EXPECT_EQ(call("type", 1), type(WasiFiletype::kUnknown));
  EXPECT_EQ(call("type", 2), type(WasiFiletype::kCharacterDevice));
}

}  // namespace
}  // namespace seam::wasm
