// Makes the calls of WASI preview 1 that the bytes say, over a memory and a folder that the guest
// was given: numbers, pointers and paths of any kind, some of them likely. What lies beside the
// folder must stay as it is, and nothing of it may reach the guest's memory.
//
// A call is its number and a few bytes for each parameter; see parameter().
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "wasm/wasi.h"

using namespace seam;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view kSecret = "what no guest may read";
constexpr std::uint32_t kPathsAt = 1024;
constexpr std::size_t kPathRoom = 32;
constexpr std::array<std::string_view, 24> kPaths = {
    "file",      "sub",     "sub/file", "sub/deep",   "new",    "new/inner", "../outside", "up",
    "up/secret", "secret",  "..",       ".",          "sub/..", "sub/../..", "/",          "/etc",
    "loop",      "in/file", "in/../..", "sub/deep/.", "file/",  "sub/deep/", "../base/x",  ""};

class Reader {
 public:
  Reader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
  [[nodiscard]] bool is_empty() const { return size_ == 0; }
  std::uint8_t byte() {
    if (size_ == 0) return 0;
    --size_;
    return *data_++;
  }
  std::uint64_t number(int bytes) {
    std::uint64_t value = 0;
    while (bytes-- > 0) value = value << 8U | byte();
    return value;
  }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
};

// One of a first byte's four quarters: a small number, a path of the table, half a memory's
// pointer, or any number. A path's length comes with the parameter behind it.
wasm::Value parameter(Reader& reader, wasm::ValueType type, std::size_t& path) {
  const std::uint8_t kind = reader.byte();
  std::uint64_t value = kind & 63U;
  if (path != 0) {
    value = kPaths[path - 1].size();
    path = 0;
  } else if (kind >> 6U == 1) {
    path = (kind & 63U) % kPaths.size() + 1;
    value = kPathsAt + (path - 1) * kPathRoom;
  } else if (kind >> 6U == 2) {
    value = reader.number(2);
  } else if (kind >> 6U == 3) {
    value = kind == 255 ? ~std::uint64_t{0} : reader.number(type == wasm::ValueType::kI64 ? 8 : 4);
  }
  return type == wasm::ValueType::kI64 ? wasm::Value::of(value)
                                       : wasm::Value::of(static_cast<std::uint32_t>(value));
}

struct GuestMemory final : wasm::HostCall {
  GuestMemory(std::vector<std::byte>& bytes, wasm::WasiState& state)
      : HostCall(&state), bytes_(bytes) {}
  std::span<std::byte> memory() override { return bytes_; }
  std::vector<std::byte>& bytes_;
};

const fs::path& folder() {
  static const fs::path made = [] {
    // A file that grows without end is an error number.
    const rlimit limit = {.rlim_cur = 1U << 20U, .rlim_max = 1U << 20U};
    CHECK(::setrlimit(RLIMIT_FSIZE, &limit) == 0);
    ::signal(SIGXFSZ, SIG_IGN);
    std::string name = (fs::temp_directory_path() / "seam-wasi-fuzz-XXXXXX").string();
    CHECK(::mkdtemp(name.data()) != nullptr);
    std::atexit([] { fs::remove_all(folder()); });
    return fs::path(name);
  }();
  return made;
}

void write(const fs::path& path, std::string_view content) { std::ofstream(path) << content; }

void set_up() {
  fs::remove_all(folder() / "base");
  fs::create_directories(folder() / "base/sub/deep");
  fs::create_directories(folder() / "outside");
  write(folder() / "outside/secret", kSecret);
  write(folder() / "base/file", "0123456789");
  write(folder() / "base/sub/file", "sub");
  fs::create_symlink("../outside", folder() / "base/up");
  fs::create_symlink("../outside/secret", folder() / "base/secret");
  fs::create_symlink("loop", folder() / "base/loop");
  fs::create_symlink("sub", folder() / "base/in");
}

// Names, sizes and contents of what lies beside the guest's folder.
void check_outside() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder()))
    names.push_back(entry.path().filename());
  for (const fs::directory_entry& entry : fs::directory_iterator(folder() / "outside"))
    names.push_back(entry.path().filename());
  std::ranges::sort(names);
  CHECK((names == std::vector<std::string>{"base", "outside", "secret"}));
  std::ifstream file(folder() / "outside/secret");
  CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == kSecret);
  CHECK(fs::hard_link_count(folder() / "outside/secret") == 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const wasm::HostModule host = [] {
    wasm::HostModule made;
    wasm::add_wasi(made);
    return made;
  }();
  set_up();
  Reader reader(data, size);
  const std::uint8_t how = reader.byte();
  wasm::WasiState state;
  state.stdin_bytes = "0123456789";
  state.standard_output.bytes_max = 4096;
  state.standard_error.bytes_max = 4096;
  state.descriptors.count_max = 16;
  if ((how & 1U) != 0) state.descriptors.path_walk = wasm::WasiPathWalk::kSteps;
  const bool writable = (how & 2U) == 0;
  CHECK(state.descriptors.give(
      {.host_path = folder() / "base", .guest_path = "/", .writable = writable}));

  std::vector<std::byte> bytes(65536);
  for (std::size_t i = 0; i < kPaths.size(); ++i)
    std::memcpy(bytes.data() + kPathsAt + i * kPathRoom, kPaths[i].data(), kPaths[i].size());
  for (int calls = 0; calls < 100 && !reader.is_empty(); ++calls) {
    const wasm::HostFunction& function = host.functions()[reader.byte() % host.functions().size()];
    std::array<wasm::Value, 16> slots = {};
    std::size_t path = 0;
    for (std::size_t i = 0; i < function.type.params.size(); ++i)
      slots[i] = parameter(reader, function.type.params[i], path);
    GuestMemory call(bytes, state);
    if (wasm::Failure failure = function.invoke(function.callable.get(), call, slots.data()))
      CHECK(std::move(failure).take().code == wasm::ErrorCode::kExited);
  }
  const auto* text = reinterpret_cast<const char*>(bytes.data());
  CHECK(!std::string_view(text, bytes.size()).contains(kSecret));
  if (!writable) {
    std::ifstream file(folder() / "base/file");
    CHECK(std::string(std::istreambuf_iterator<char>(file), {}) == "0123456789");
  }
  check_outside();
  return 0;
}
