// The programs of guests/programs, built by the commands of its README, on every engine.
// Goal: whatever the language and the engine, the same text gives the same output. Method: the
// report of a small text is known; that of a larger one is compared.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "endurance/engines.h"
#include "wasm/wasi.h"

namespace seam::wasm {
namespace {

constexpr std::string_view kText = "The cat and the dog.\nThe end\n";
constexpr std::string_view kReport =
    R"({"bytes":29,"lines":2,"words":7,"distinct":5,"mean_length":3.000,)"
    R"("sha256":"e8245e6ee3ae9591d03310b7e72358eb4d67df38c5414af656880061f2a94789",)"
    R"("top":[{"word":"the","count":3},{"word":"and","count":1},{"word":"cat","count":1},{"word":"dog","count":1},)"
    R"({"word":"end","count":1}]})"
    "\n";

struct Ran {
  std::string output;
  std::string error_output;
  std::int32_t exit_code = 0;
};

class Program {
 public:
  Program(Runtime& runtime, const std::filesystem::path& file) {
    std::ifstream stream(file, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(stream), {}};
    HostModule host;
    add_wasi(host);
    auto module = runtime.compile(bytes);
    EXPECT_TRUE(module) << module.error().message;
    if (!module) return;
    module_ = *std::move(module);
    auto context = runtime.link(*module_, host);
    EXPECT_TRUE(context) << context.error().message;
    if (context) context_ = *std::move(context);
  }

  Ran run(std::vector<std::string> args, std::string_view text) const {
    WasiState state;
    state.args = std::move(args);
    state.stdin_bytes = text;
    const auto instance = context_->instantiate({.limits = {}, .state = &state}, {});
    EXPECT_TRUE(instance) << instance.error().message;
    if (!instance) return {};
    const Outcome<> outcome = (*instance)->function("_start")->call(Deadline::never());
    Ran ran{state.standard_output.bytes, state.standard_error.bytes, 0};
    if (outcome) return ran;
    EXPECT_EQ(outcome.error().code, wasm::ErrorCode::kExited)
        << outcome.error().message << outcome.error().trace();
    ran.exit_code = outcome.error().exit_code;
    return ran;
  }
  bool works() const { return context_ != nullptr; }

 private:
  std::unique_ptr<CompiledModule> module_;
  std::unique_ptr<Context> context_;
};

// One program, by its file's name.
class Programs : public testing::TestWithParam<const char*> {};

TEST_P(Programs, GivesTheSameOutputOnEveryEngine) {
  const std::filesystem::path file = std::filesystem::path(SEAM_PROGRAMS) / GetParam();
  if (!std::filesystem::exists(file))
    GTEST_SKIP() << GetParam() << " is not built: its compiler is not installed";
  std::string larger;
  for (int i = 0; i < 3000; ++i)
    larger += "word" + std::to_string(i * 7919 % 301) + (i % 9 == 0 ? "\n" : "x ") + "y";
  std::string first;  // the larger text's, on the first engine
  for (const EngineAdapter& adapter : endurance::engines()) {
    for (const std::string& mode : endurance::modes_of(adapter)) {
      SCOPED_TRACE(endurance::name_of(adapter, mode));
      const auto runtime = adapter.make(
          {.mode = mode, .instances_max = 8, .library_folder = endurance::library_folder()});
      ASSERT_TRUE(runtime) << runtime.error().message;
      const Program program(**runtime, file);
      ASSERT_TRUE(program.works());

      const Ran ran = program.run({"report", "3"}, kText);
      EXPECT_EQ(ran.output, kReport);
      EXPECT_EQ(ran.error_output, "report: 29 bytes\n");
      EXPECT_EQ(ran.exit_code, 0);

      const Ran misused = program.run({"report", "none"}, kText);
      EXPECT_EQ(misused.output, "");
      EXPECT_EQ(misused.error_output, "usage: report ROUNDS <text\n");
      EXPECT_EQ(misused.exit_code, 2);

      const Ran of_larger = program.run({"report", "2"}, larger);
      if (first.empty()) first = of_larger.output;
      EXPECT_EQ(of_larger.output, first);
      EXPECT_NE(of_larger.output.find("\"sha256\""), std::string::npos);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Languages, Programs,
                         testing::Values("report-c.wasm", "report-cpp.wasm", "report-rust.wasm",
                                         "report-go.wasm"),
                         [](const testing::TestParamInfo<const char*>& info) {
                           const std::string name = info.param;
                           return name.substr(7, name.find('.') - 7);
                         });

}  // namespace
}  // namespace seam::wasm
