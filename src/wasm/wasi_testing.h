#pragma once
// For the tests of wasi*.cc: calls one host function as an engine would, with a memory of the
// test's.
//
//   class WasiFilesTest : public WasiFixture { … };
//   EXPECT_EQ(call("fd_close", u(3)), kBadf);

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wasm/wasi.h"

namespace seam::wasm {

// A folder of its own, removed with its contents.
class ScratchFolder {
 public:
  ScratchFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "seam-wasi-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    path_ = name;
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;

  [[nodiscard]] std::filesystem::path operator/(std::string_view name) const {
    return path_ / name;
  }
  void directory(std::string_view name) const { std::filesystem::create_directories(path_ / name); }
  void file(std::string_view name, std::string_view content = {}) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  void link(std::string_view target, std::string_view name) const {
    std::filesystem::create_symlink(target, path_ / name);
  }
  [[nodiscard]] bool has(std::string_view name) const {
    return std::filesystem::symlink_status(path_ / name).type() !=
           std::filesystem::file_type::not_found;
  }
  [[nodiscard]] std::string content(std::string_view name) const {
    std::ifstream file(path_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }

 private:
  std::filesystem::path path_;
};

class WasiFixture : public testing::Test {
 protected:
  struct Call final : HostCall {
    Call(std::vector<std::byte>& memory, WasiState& state) : HostCall(&state), memory_(memory) {}
    std::span<std::byte> memory() override { return memory_; }
    std::vector<std::byte>& memory_;
  };

  WasiFixture() : memory_(kEnd) { add_wasi(host_); }

  const HostFunction& function(std::string_view name) {
    for (const HostFunction& function : host_.functions()) {
      if (function.name == name) return function;
    }
    ADD_FAILURE() << "no " << name;
    std::abort();
  }

  template <class... Args>
  std::uint32_t call(std::string_view name, Args... args) {
    const HostFunction& called = function(name);
    std::vector<Value> slots = {Value::of(args)...};
    EXPECT_EQ(called.type.params, (std::vector<ValueType>{value_type_of<Args>()...})) << name;
    Call call(memory_, state_);
    slots.resize(std::max<std::size_t>(slots.size(), 1));
    Failure failure = called.invoke(called.callable.get(), call, slots.data());
    error_.reset();
    if (failure) error_ = std::move(failure).take();
    waits_until_ = call.waits_until();
    return slots[0].as<std::uint32_t>();
  }

  template <class T>
  T at(std::size_t offset) {
    T value;
    std::memcpy(&value, memory_.data() + offset, sizeof value);
    return value;
  }
  template <class T>
  void put(std::size_t offset, T value) {
    std::memcpy(memory_.data() + offset, &value, sizeof value);
  }
  std::string text(std::size_t offset, std::size_t size) {
    return {reinterpret_cast<const char*>(memory_.data()) + offset, size};
  }
  void put_text(std::size_t offset, std::string_view bytes) {
    std::memcpy(memory_.data() + offset, bytes.data(), bytes.size());
  }
  // One vector {pointer, size} at `offset`.
  void vector(std::size_t offset, std::uint32_t pointer, std::uint32_t size) {
    put(offset, pointer);
    put(offset + 4, size);
  }
  // A subscription to a clock.
  void clock_subscription(std::size_t offset, std::uint64_t user_data, std::uint32_t id,
                          std::uint64_t timeout, std::uint16_t flags) {
    put<std::uint64_t>(offset, user_data);
    put<std::uint8_t>(offset + 8, 0);
    put<std::uint32_t>(offset + 16, id);
    put<std::uint64_t>(offset + 24, timeout);
    put<std::uint16_t>(offset + 40, flags);
  }

  static constexpr std::uint32_t kEnd = 65536;
  HostModule host_;
  WasiState state_;
  std::vector<std::byte> memory_;
  std::optional<Error> error_;
  std::optional<Deadline> waits_until_;
};

inline std::uint32_t u(std::uint32_t number) { return number; }

}  // namespace seam::wasm
