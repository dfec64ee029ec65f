#pragma once
// An engine that comes as a shared library of its own, opened when it is first wanted. Adapters use
// it; nothing else does.
//
//   SEAM_ASSIGN_OR_RETURN(const SharedLibrary library,
//                         SharedLibrary::open(engine_library(options.library_folder, "wasmi")));
//   SEAM_ASSIGN_OR_RETURN(auto* version, library.function<std::uint32_t()>("seam_wasmi_abi"));

#include <filesystem>
#include <string>
#include <string_view>

#include "wasm/error.h"

namespace seam::wasm {

// FOLDER/libseam_ENGINE.so. `folder` as EngineOptions::library_folder.
[[nodiscard]] std::filesystem::path engine_library(const std::filesystem::path& folder,
                                                   std::string_view engine);

// Stays open until the process ends: engines start threads and handlers that nothing could end.
// Opening one file twice gives the same library. Copyable; any thread.
class SharedLibrary {
 public:
  // Its names stay its own (RTLD_LOCAL), and all it needs is looked up at once (RTLD_NOW).
  // errors    kRuntimeNotFound   no such file, or the loader refuses it; the message holds its
  //                              reason and what to do
  [[nodiscard]] static Outcome<SharedLibrary> open(const std::filesystem::path& file);

  // The function that the library exports under `name`, for as long as the process lives.
  // errors    kRuntimeNotFound   there is none: the library is of another version
  template <class Signature>
  [[nodiscard]] Outcome<Signature*> function(const char* name) const {
    SEAM_ASSIGN_OR_RETURN(void* const found, symbol(name));
    return reinterpret_cast<Signature*>(found);
  }

 private:
  SharedLibrary(void* handle, std::string file) : handle_(handle), file_(std::move(file)) {}
  [[nodiscard]] Outcome<void*> symbol(const char* name) const;

  void* handle_;
  std::string file_;
};

}  // namespace seam::wasm
