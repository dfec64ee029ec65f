#include "wasm/wasi.h"

#include <set>

#include "wasm/wasi_testing.h"

namespace seam::wasm {
namespace {

using WasiTest = WasiFixture;

constexpr std::uint32_t kOk = 0;
constexpr std::uint32_t kBadf = 8;
constexpr std::uint32_t kFault = 21;
constexpr std::uint32_t kInval = 28;
constexpr std::uint32_t kNotdir = 54;
constexpr std::uint32_t kNotsock = 57;
constexpr std::uint32_t kNotsup = 58;
constexpr std::uint32_t kSpipe = 70;
using U32 = std::uint32_t;
using U64 = std::uint64_t;

TEST_F(WasiTest, HasAll46FunctionsOfPreview1) {
  std::set<std::string> names;
  for (const HostFunction& function : host_.functions()) {
    EXPECT_EQ(function.module, "wasi_snapshot_preview1");
    names.insert(function.name);
  }
  const std::set<std::string> wanted = {"args_get",
                                        "args_sizes_get",
                                        "clock_res_get",
                                        "clock_time_get",
                                        "environ_get",
                                        "environ_sizes_get",
                                        "fd_advise",
                                        "fd_allocate",
                                        "fd_close",
                                        "fd_datasync",
                                        "fd_fdstat_get",
                                        "fd_fdstat_set_flags",
                                        "fd_fdstat_set_rights",
                                        "fd_filestat_get",
                                        "fd_filestat_set_size",
                                        "fd_filestat_set_times",
                                        "fd_pread",
                                        "fd_prestat_dir_name",
                                        "fd_prestat_get",
                                        "fd_pwrite",
                                        "fd_read",
                                        "fd_readdir",
                                        "fd_renumber",
                                        "fd_seek",
                                        "fd_sync",
                                        "fd_tell",
                                        "fd_write",
                                        "path_create_directory",
                                        "path_filestat_get",
                                        "path_filestat_set_times",
                                        "path_link",
                                        "path_open",
                                        "path_readlink",
                                        "path_remove_directory",
                                        "path_rename",
                                        "path_symlink",
                                        "path_unlink_file",
                                        "poll_oneoff",
                                        "proc_exit",
                                        "proc_raise",
                                        "random_get",
                                        "sched_yield",
                                        "sock_accept",
                                        "sock_recv",
                                        "sock_send",
                                        "sock_shutdown"};
  EXPECT_EQ(names, wanted);
  EXPECT_EQ(host_.functions().size(), 46U);
}

TEST_F(WasiTest, Arguments) {
  state_.args = {"prog", "", "two"};
  EXPECT_EQ(call("args_sizes_get", u(0), u(4)), kOk);
  EXPECT_EQ(at<U32>(0), 3U);
  EXPECT_EQ(at<U32>(4), 10U);
  EXPECT_EQ(call("args_get", u(16), u(100)), kOk);
  EXPECT_EQ(at<U32>(16), 100U);
  EXPECT_EQ(at<U32>(20), 105U);
  EXPECT_EQ(at<U32>(24), 106U);
  EXPECT_EQ(text(100, 10), std::string("prog\0\0two\0", 10));
  EXPECT_EQ(call("args_get", u(kEnd - 11), u(100)), kFault);
  EXPECT_EQ(call("args_get", u(16), u(kEnd - 9)), kFault);
  EXPECT_EQ(call("args_sizes_get", u(kEnd - 3), u(0)), kFault);
  EXPECT_EQ(call("args_sizes_get", u(0), u(~0U)), kFault);
}

TEST_F(WasiTest, Environment) {
  state_.environment = {"A=1"};
  EXPECT_EQ(call("environ_sizes_get", u(0), u(4)), kOk);
  EXPECT_EQ(at<U32>(0), 1U);
  EXPECT_EQ(at<U32>(4), 4U);
  EXPECT_EQ(call("environ_get", u(16), u(kEnd - 4)), kOk);
  EXPECT_EQ(text(kEnd - 4, 4), std::string("A=1\0", 4));
  state_.environment.clear();
  EXPECT_EQ(call("environ_sizes_get", u(0), u(4)), kOk);
  EXPECT_EQ(at<U64>(0), 0U);
  EXPECT_EQ(call("environ_get", u(kEnd), u(kEnd)), kOk);
}

TEST_F(WasiTest, ClocksAreTheHostsAndCpuTimeIsNotOffered) {
  ManualClock clock;
  state_.clock = &clock;
  EXPECT_EQ(call("clock_time_get", u(0), U64{1}, u(8)), kOk);
  EXPECT_EQ(at<U64>(8), 1'700'000'001'000'000'000U);
  EXPECT_EQ(call("clock_time_get", u(1), U64{1}, u(8)), kOk);
  EXPECT_EQ(at<U64>(8), 1'000'000'000U);
  clock.advance(milliseconds(5));
  EXPECT_EQ(call("clock_time_get", u(1), U64{1}, u(8)), kOk);
  EXPECT_EQ(at<U64>(8), 1'005'000'000U);
  EXPECT_EQ(call("clock_time_get", u(2), U64{1}, u(8)), kInval);
  EXPECT_EQ(call("clock_time_get", u(9), U64{1}, u(8)), kInval);
  EXPECT_EQ(call("clock_time_get", u(1), U64{1}, u(kEnd - 7)), kFault);
  EXPECT_EQ(call("clock_res_get", u(1), u(8)), kOk);
  EXPECT_EQ(at<U64>(8), 1U);
  EXPECT_EQ(call("clock_res_get", u(3), u(8)), kInval);
}

TEST_F(WasiTest, RandomBytes) {
  state_.random = [](std::span<std::byte> bytes) { std::ranges::fill(bytes, std::byte{0xab}); };
  EXPECT_EQ(call("random_get", u(100), u(3)), kOk);
  EXPECT_EQ(text(99, 5), std::string("\0\xab\xab\xab\0", 5));
  EXPECT_EQ(call("random_get", u(kEnd - 2), u(3)), kFault);
  EXPECT_EQ(call("random_get", u(0), u((1U << 20U) + 1)), kInval);
  state_.random = kernel_random;
  EXPECT_EQ(call("random_get", u(0), u(64)), kOk);
  EXPECT_NE(text(0, 64), std::string(64, '\0'));
}

TEST_F(WasiTest, WritesAreGatheredUpToALimitAndTheRestIsCounted) {
  state_.standard_output.bytes_max = 8;
  put_text(200, "hello world");
  vector(0, 200, 5);
  vector(8, 205, 6);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(2), u(100)), kOk);
  EXPECT_EQ(at<U32>(100), 11U);
  EXPECT_EQ(state_.standard_output.bytes, "hello wo");
  EXPECT_EQ(state_.standard_output.bytes_dropped, 3U);
  EXPECT_EQ(state_.standard_output.dropped_tail, "rld");
  EXPECT_EQ(call("fd_write", u(2), u(0), u(1), u(100)), kOk);
  EXPECT_EQ(state_.standard_error.bytes, "hello");
  EXPECT_EQ(call("fd_write", u(0), u(0), u(1), u(100)), kBadf);
  EXPECT_EQ(call("fd_write", u(3), u(0), u(1), u(100)), kBadf);
}

TEST_F(WasiTest, AWriteWithABadPointerWritesNothing) {
  vector(0, 200, 5);
  vector(8, kEnd - 1, 2);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(2), u(100)), kFault);
  EXPECT_EQ(call("fd_write", u(1), u(kEnd - 7), u(1), u(100)), kFault);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(1), u(kEnd - 3)), kFault);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(~0U), u(100)), kInval);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(0x2000'0000), u(100)), kInval);
  EXPECT_EQ(state_.standard_output.bytes, "");
}

TEST_F(WasiTest, ReadsStandardInputToItsEnd) {
  state_.stdin_bytes = "abcdefg";
  vector(0, 200, 2);
  vector(8, 300, 3);
  EXPECT_EQ(call("fd_read", u(0), u(0), u(2), u(100)), kOk);
  EXPECT_EQ(at<U32>(100), 5U);
  EXPECT_EQ(text(200, 2) + text(300, 3), "abcde");
  EXPECT_EQ(call("fd_read", u(0), u(0), u(2), u(100)), kOk);
  EXPECT_EQ(at<U32>(100), 2U);
  EXPECT_EQ(call("fd_read", u(0), u(0), u(2), u(100)), kOk);
  EXPECT_EQ(at<U32>(100), 0U);
  EXPECT_EQ(call("fd_read", u(1), u(0), u(2), u(100)), kBadf);
}

// Found by thought: the first vector's bytes overwrite the second vector.
TEST_F(WasiTest, AReadOverItsOwnVectorsStaysInMemory) {
  const std::string evil(8, '\xff');
  state_.stdin_bytes = evil;
  vector(0, 8, 8);
  vector(8, 300, 3);
  EXPECT_EQ(call("fd_read", u(0), u(0), u(2), u(100)), kFault);
}

TEST_F(WasiTest, DescriptorsTellWhatTheyAreAndCanBeClosedAndMoved) {
  EXPECT_EQ(call("fd_fdstat_get", u(1), u(0)), kOk);
  EXPECT_EQ(at<std::uint8_t>(0), 0);
  EXPECT_EQ(at<U64>(8), (1U << 27U) | (1U << 21U) | (1U << 6U));
  EXPECT_EQ(call("fd_fdstat_get", u(1), u(kEnd - 23)), kFault);
  EXPECT_EQ(call("fd_fdstat_get", u(3), u(0)), kBadf);
  EXPECT_EQ(call("fd_filestat_get", u(0), u(0)), kOk);
  EXPECT_EQ(call("fd_filestat_get", u(0), u(kEnd - 63)), kFault);
  EXPECT_EQ(call("fd_renumber", u(2), u(1)), kOk);
  put_text(200, "x");
  vector(0, 200, 1);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(1), u(100)), kOk);
  EXPECT_EQ(state_.standard_error.bytes, "x");
  EXPECT_EQ(call("fd_close", u(1)), kOk);
  EXPECT_EQ(call("fd_close", u(1)), kBadf);
  EXPECT_EQ(call("fd_write", u(1), u(0), u(1), u(100)), kBadf);
  EXPECT_EQ(call("fd_renumber", u(0), u(1)), kBadf);
  EXPECT_EQ(call("fd_renumber", u(0), u(0)), kOk);
}

TEST_F(WasiTest, WhatPipesCannotDo) {
  EXPECT_EQ(call("fd_seek", u(0), std::int64_t{0}, u(0), u(0)), kSpipe);
  EXPECT_EQ(call("fd_tell", u(0), u(0)), kSpipe);
  EXPECT_EQ(call("fd_pread", u(0), u(0), u(0), U64{0}, u(0)), kSpipe);
  EXPECT_EQ(call("fd_pwrite", u(1), u(0), u(0), U64{0}, u(0)), kSpipe);
  EXPECT_EQ(call("fd_advise", u(0), U64{0}, U64{0}, u(0)), kSpipe);
  EXPECT_EQ(call("fd_allocate", u(1), U64{0}, U64{1}), kInval);
  EXPECT_EQ(call("fd_sync", u(1)), kInval);
  EXPECT_EQ(call("fd_datasync", u(1)), kInval);
  EXPECT_EQ(call("fd_filestat_set_size", u(1), U64{1}), kInval);
  EXPECT_EQ(call("fd_filestat_set_times", u(1), U64{1}, U64{1}, u(0)), kNotsup);
  EXPECT_EQ(call("fd_fdstat_set_flags", u(1), u(0)), kNotsup);
  EXPECT_EQ(call("fd_seek", u(7), std::int64_t{0}, u(0), u(0)), kBadf);
}

TEST_F(WasiTest, ThereAreNoFilesAndNoSockets) {
  EXPECT_EQ(call("fd_prestat_get", u(3), u(0)), kBadf);
  EXPECT_EQ(call("fd_prestat_dir_name", u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("fd_readdir", u(3), u(0), u(0), U64{0}, u(0)), kBadf);
  EXPECT_EQ(call("fd_readdir", u(1), u(0), u(0), U64{0}, u(0)), kNotdir);
  EXPECT_EQ(call("path_create_directory", u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_filestat_get", u(3), u(0), u(0), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_filestat_set_times", u(3), u(0), u(0), u(0), U64{0}, U64{0}, u(0)), kBadf);
  EXPECT_EQ(call("path_link", u(3), u(0), u(0), u(0), u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_open", u(3), u(0), u(0), u(0), u(0), U64{0}, U64{0}, u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_open", u(0), u(0), u(0), u(0), u(0), U64{0}, U64{0}, u(0), u(0)), kNotdir);
  EXPECT_EQ(call("path_readlink", u(3), u(0), u(0), u(0), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_remove_directory", u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_rename", u(3), u(0), u(0), u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_symlink", u(0), u(0), u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("path_unlink_file", u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("sock_accept", u(3), u(0), u(0)), kBadf);
  EXPECT_EQ(call("sock_accept", u(1), u(0), u(0)), kNotsock);
  EXPECT_EQ(call("sock_recv", u(0), u(0), u(0), u(0), u(0), u(0)), kNotsock);
  EXPECT_EQ(call("sock_send", u(1), u(0), u(0), u(0), u(0)), kNotsock);
  EXPECT_EQ(call("sock_shutdown", u(1), u(0)), kNotsock);
}

TEST_F(WasiTest, LeavingEndsTheGuest) {
  call("proc_exit", 7);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->code, ErrorCode::kExited);
  EXPECT_EQ(error_->exit_code, 7);
  call("proc_raise", 6);
  ASSERT_TRUE(error_);
  EXPECT_EQ(error_->exit_code, 134);
  EXPECT_EQ(call("sched_yield"), kOk);
  EXPECT_FALSE(error_);
}

TEST_F(WasiTest, PollWaitsForTheEarliestClock) {
  clock_subscription(0, 11, 1, 50'000'000, 0);
  clock_subscription(48, 22, 1, 10'000'000'000, 0);
  const MonotonicTime before = MonotonicClock::now();
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(2), u(2000)), kOk);
  EXPECT_EQ(at<U32>(2000), 1U);
  EXPECT_EQ(at<U64>(1000), 11U);
  EXPECT_EQ(at<std::uint16_t>(1008), 0);
  EXPECT_EQ(at<std::uint8_t>(1010), 0);
  ASSERT_TRUE(waits_until_);
  EXPECT_GE(waits_until_->at, before + milliseconds(50));
  EXPECT_LT(waits_until_->at, before + seconds(10));
}

TEST_F(WasiTest, PollReportsWhatIsReadyAtOnce) {
  state_.stdin_bytes = "abc";
  clock_subscription(0, 11, 1, 50'000'000, 0);
  put<U64>(48, 33);
  put<std::uint8_t>(48 + 8, 1);  // reading
  put<U32>(48 + 16, 0);
  put<U64>(96, 44);
  put<std::uint8_t>(96 + 8, 2);  // writing
  put<U32>(96 + 16, 9);
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(3), u(2000)), kOk);
  EXPECT_EQ(at<U32>(2000), 2U);
  EXPECT_EQ(at<U64>(1000), 33U);
  EXPECT_EQ(at<U64>(1016), 3U);
  EXPECT_EQ(at<U64>(1032), 44U);
  EXPECT_EQ(at<std::uint16_t>(1040), kBadf);
  EXPECT_FALSE(waits_until_);
}

TEST_F(WasiTest, PollTakesAbsoluteTimesAndRefusesNonsense) {
  clock_subscription(0, 1, 1, 5, 1);  // long ago
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(1), u(2000)), kOk);
  EXPECT_FALSE(waits_until_);
  clock_subscription(0, 1, 1, ~0ULL, 0);  // never, without overflow
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(1), u(2000)), kOk);
  ASSERT_TRUE(waits_until_);
  EXPECT_GT(waits_until_->at, MonotonicClock::now() + std::chrono::hours(24 * 365));
  clock_subscription(0, 1, 2, 5, 0);
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(1), u(2000)), kOk);
  EXPECT_EQ(at<std::uint16_t>(1008), kInval);
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(0), u(2000)), kInval);
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(~0U), u(2000)), kInval);
  EXPECT_EQ(call("poll_oneoff", u(kEnd - 47), u(1000), u(1), u(2000)), kFault);
  EXPECT_EQ(call("poll_oneoff", u(0), u(kEnd - 31), u(1), u(2000)), kFault);
  EXPECT_EQ(call("poll_oneoff", u(0), u(1000), u(1), u(kEnd - 3)), kFault);
}

}  // namespace
}  // namespace seam::wasm
