// An append to the journal against a write(2) of the same bytes to a file.

#include <benchmark/benchmark.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>

#include "base/check.h"
#include "journal/journal.h"

namespace seam::journal {
namespace {

std::filesystem::path make_directory() {
  std::string name = (std::filesystem::temp_directory_path() / "seam-XXXXXX").string();
  CHECK(::mkdtemp(name.data()) != nullptr);
  return name;
}

// The drain runs between, off the clock, as it does on a thread of its own.
void append(benchmark::State& state) {
  const std::filesystem::path directory = make_directory();
  {
    auto journals = Journals::open({.directory = directory}, {});
    CHECK(journals.has_value());
    const std::string record(static_cast<std::size_t>(state.range(0)), 'r');
    std::size_t appended = 0;
    for (auto _ : state) {
      CHECK((*journals)->writer(0).append(record).has_value());
      appended += record.size();
      if (appended > (2U << 20U)) {
        state.PauseTiming();
        while ((*journals)->drain(4096, [](const auto&) { return true; }) > 0) {
        }
        appended = 0;
        state.ResumeTiming();
      }
    }
  }
  std::filesystem::remove_all(directory);
}
BENCHMARK(append)->Arg(300)->Arg(4000);

void write_call(benchmark::State& state) {
  const std::filesystem::path directory = make_directory();
  const int file = ::open((directory / "file").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  CHECK(file >= 0);
  const std::string record(static_cast<std::size_t>(state.range(0)), 'r');
  std::size_t written = 0;
  for (auto _ : state) {
    CHECK(::write(file, record.data(), record.size()) == static_cast<ssize_t>(record.size()));
    written += record.size();
    if (written > (8U << 20U)) {
      CHECK(::lseek(file, 0, SEEK_SET) == 0);
      written = 0;
    }
  }
  ::close(file);
  std::filesystem::remove_all(directory);
}
BENCHMARK(write_call)->Arg(300)->Arg(4000);

}  // namespace
}  // namespace seam::journal
