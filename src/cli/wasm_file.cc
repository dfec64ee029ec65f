#include "cli/wasm_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file_descriptor.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::cli {
namespace {

std::unexpected<Error> invalid(const std::string& path, std::string_view what) {
  return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", path, what));
}

Result<std::string> read_bytes(const std::string& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_errno(path, errno);
  constexpr std::size_t kPart = 1U << 20U;
  std::string bytes;
  while (true) {
    const std::size_t size = bytes.size();
    bytes.resize(size + kPart);
    const ssize_t count = ::read(file.get(), bytes.data() + size, kPart);
    if (count < 0 && errno == EINTR) {
      bytes.resize(size);
      continue;
    }
    if (count < 0) return fail_errno(path, errno);
    bytes.resize(size + static_cast<std::size_t>(count));
    if (count == 0) return bytes;
    if (bytes.size() > kWasmFileBytesMax) {
      return invalid(path, fmt::format("is larger than the {} MiB that a module may have.",
                                       kWasmFileBytesMax >> 20U));
    }
  }
}

std::string first_bytes(std::string_view bytes) {
  if (bytes.empty()) return "it is empty";
  std::string text = "it begins with";
  for (const char c : bytes.substr(0, 8))
    text += fmt::format(" {:02x}", static_cast<unsigned char>(c));
  return text;
}

}  // namespace

Result<std::string_view> WasmFile::module() const {
  switch (binary_kind) {
    case wasm::FileKind::kCoreModule:
      return bytes;
    case wasm::FileKind::kComponent:
      return invalid(path,
                     "is a component, and Seam's engines take core modules. Build it for WASI "
                     "preview 1: wasm32-wasip1 in Rust, wasm32-wasi in C and C++, GOOS=wasip1 in "
                     "Go.");
    case wasm::FileKind::kOtherVersion:
      return invalid(path, fmt::format("begins as WebAssembly, but of a version that no engine "
                                       "takes: {}. Is it cut off?",
                                       first_bytes(bytes)));
    default:
      return invalid(path, fmt::format("is no WebAssembly: {}. Give a module (.wasm) or its text "
                                       "(.wat).",
                                       first_bytes(bytes)));
  }
}

Result<WasmFile> read_wasm_file(const std::string& path) {
  WasmFile file{.path = path,
                .bytes = {},
                .kind = wasm::FileKind::kOther,
                .binary_kind = wasm::FileKind::kOther};
  SEAM_ASSIGN_OR_RETURN(file.bytes, read_bytes(path));
  file.kind = wasm::file_kind_of(file.bytes);
  if (file.kind == wasm::FileKind::kText) {
    wasm::Outcome<std::string> module = wasm::wasm_from_text(file.bytes);
    if (!module) return invalid(path, module.error().message);
    file.bytes = *std::move(module);
  }
  file.binary_kind = wasm::file_kind_of(file.bytes);
  return file;
}

}  // namespace seam::cli
