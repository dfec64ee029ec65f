#include "wasm/shared_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace seam::wasm {
namespace {

// What dlerror() says, which is nothing after a success.
std::string loader_reason() {
  const char* reason = ::dlerror();
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace

std::filesystem::path engine_library(const std::filesystem::path& folder, std::string_view engine) {
  std::string file = "libseam_";
  file += engine;
  file += ".so";
  return folder / file;
}

Outcome<SharedLibrary> SharedLibrary::open(const std::filesystem::path& file) {
  // A name without a slash would be looked for wherever the system keeps its libraries.
  if (!file.is_absolute()) {
    return fail(ErrorCode::kRuntimeNotFound,
                fmt::format("the engine's library is named as '{}': give the absolute path of the "
                            "folder that holds it",
                            file.string()));
  }
  if (void* handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL))
    return SharedLibrary(handle, file.string());
  return fail(ErrorCode::kRuntimeNotFound,
              fmt::format("the engine's library cannot be loaded ({}): build it with ./dev setup, "
                          "or install the package again",
                          loader_reason()));
}

Outcome<void*> SharedLibrary::symbol(const char* name) const {
  if (void* found = ::dlsym(handle_, name)) return found;
  return fail(ErrorCode::kRuntimeNotFound,
              fmt::format("{} does not offer {}: it is of another version; build it with ./dev "
                          "setup, or install the package again",
                          file_, name));
}

}  // namespace seam::wasm
