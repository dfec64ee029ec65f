#pragma once
// The streams of this process for a guest: what it writes appears at once, and it reads what is
// typed.
//
//   ProcessInput input(deadline);
//   ProcessOutput output(deadline);
//   wasi.source = &input;
//   wasi.sink = &output;

#include <span>

#include "base/clock.h"
#include "wasm/wasi.h"

namespace seam::cli {

// Both are one guest's, and used by the thread that runs it. A guest that waits for either is ended
// once the deadline has passed.
class ProcessInput final : public wasm::WasiSource {
 public:
  explicit ProcessInput(Deadline deadline) : deadline_(deadline) {}
  // errors    kDeadlineExceeded   nothing came in time
  //           kHostFailed         as the system says
  [[nodiscard]] wasm::Outcome<std::size_t> read(std::span<std::byte> bytes) override;
  [[nodiscard]] bool is_terminal() const override;

 private:
  Deadline deadline_;
};

class ProcessOutput final : public wasm::WasiSink {
 public:
  explicit ProcessOutput(Deadline deadline) : deadline_(deadline) {}
  // errors    kDeadlineExceeded   nobody took it in time
  //           kCancelled          nobody reads it any more
  //           kHostFailed         as the system says
  [[nodiscard]] wasm::Outcome<> write(int stream, std::span<const std::byte> bytes) override;
  [[nodiscard]] bool is_terminal(int stream) const override;

 private:
  Deadline deadline_;
};

}  // namespace seam::cli
