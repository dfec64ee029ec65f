// Names, options, contexts and the choice by route. What needs a store and runtimes is tested end
// to end (tests/e2e).
#include <gtest/gtest.h>

#include <string>

#include "functions/call_context.h"
#include "functions/catalogue.h"
#include "functions/names.h"
#include "functions/options.h"

namespace seam::functions {
namespace {

RuntimeMap default_map() { return *RuntimeMap::make(RuntimeMap::default_rules()); }

TEST(RuntimeMap, ResolvesByPrefixAndByPattern) {
  const RuntimeMap map = default_map();
  const Result<ResolvedName> name = map.resolve("nodejs-calculator");
  ASSERT_TRUE(name.has_value());
  EXPECT_EQ(name->language, "nodejs");
  EXPECT_EQ(name->title, "calculator");
  EXPECT_EQ(name->runtime, "nodejs");
  EXPECT_EQ(map.resolve("js-x.y_z-1")->runtime, "nodejs");
  EXPECT_EQ(map.resolve("js-x.y_z-1")->language, "js");
  EXPECT_EQ(map.resolve("js-x.y_z-1")->title, "x.y_z-1");
}

TEST(RuntimeMap, TheFirstRuleThatFitsWins) {
  const RuntimeMap map =
      *RuntimeMap::make({{.prefix = {}, .pattern = "-slow$", .runtime = "python"},
                         {.prefix = "js-", .pattern = {}, .runtime = "nodejs"}});
  EXPECT_EQ(map.resolve("js-slow")->runtime, "python");
  EXPECT_EQ(map.resolve("js-fast")->runtime, "nodejs");
}

TEST(RuntimeMap, RefusesNamesThatAreMalformedOrUnknown) {
  const RuntimeMap map = default_map();
  for (const std::string name :
       {"", "nodejs", "nodejs-", "-x", "nodejs-a b", "nodejs-a/b", "nodejs-é"}) {
    ASSERT_FALSE(map.resolve(name).has_value()) << name;
    EXPECT_EQ(map.resolve(name).error().code, ErrorCode::kInvalidArgument);
  }
  EXPECT_TRUE(map.resolve("nodejs-" + std::string(64, 'a')).has_value());
  EXPECT_FALSE(map.resolve("nodejs-" + std::string(65, 'a')).has_value());
  EXPECT_EQ(map.resolve("cobol-x").error().message,
            "unknown language 'cobol': a name begins with one of nodejs-, python-, rust-, wasm-, "
            "model-, js-");
}

TEST(RuntimeMap, RefusesRulesThatSayNothingOrTooMuch) {
  EXPECT_FALSE(RuntimeMap::make({{.prefix = {}, .pattern = {}, .runtime = "nodejs"}}).has_value());
  EXPECT_FALSE(
      RuntimeMap::make({{.prefix = "a-", .pattern = "b", .runtime = "nodejs"}}).has_value());
  EXPECT_FALSE(RuntimeMap::make({{.prefix = {}, .pattern = "(", .runtime = "nodejs"}}).has_value());
}

TEST(Options, ReadBackAsTheyWereWritten) {
  const std::string text =
      R"({"entry":"main","concurrency":2,"cacheable":true,"idempotent":true,"environment":{"A":"1"},)"
      R"("limits":{"memory_bytes_max":67108864,"workers_max":3,"timeout_ms":1500,"queue_max":0}})";
  const Result<ImplementationOptions> options = parse_options(text, {});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->entry, "main");
  EXPECT_EQ(options->limits.concurrency_max, 2U);
  EXPECT_EQ(options->limits.memory_bytes_max, 64U << 20U);
  EXPECT_EQ(options->limits.queue_max, 0U);
  EXPECT_EQ(options->timeout_ms, 1500);
  EXPECT_EQ(options->cacheable, true);
  EXPECT_EQ(options->environment.at("A"), "1");
  const std::string written = format_options(*options);
  EXPECT_EQ(format_options(*parse_options(written, {})), written);
  // Saying nothing is another thing than saying no.
  const std::string silent = format_options({});
  EXPECT_EQ(parse_options(silent, {})->cacheable, std::nullopt);
  EXPECT_EQ(
      parse_options(format_options(*parse_options(R"({"cacheable":false})", {})), {})->cacheable,
      false);
}

TEST(Options, AnEngineIsKeptBesideTheOthers) {
  const auto options =
      parse_options(R"({"engine":"wasmi","fallback":"wasmtime","isolation":"process"})", {});
  ASSERT_TRUE(options.has_value()) << options.error().message;
  EXPECT_EQ(options->wish.engine, "wasmi");
  EXPECT_EQ(options->wish.fallback, "wasmtime");
  EXPECT_TRUE(options->wish.own_process);
  const auto again = parse_options(format_options(*options), {});
  EXPECT_EQ(again->wish.engine, "") << "the store has a column for it";
  EXPECT_EQ(again->wish.fallback, "wasmtime");
  EXPECT_TRUE(again->wish.own_process);
  const auto message = [](const std::string& text) {
    return parse_options(text, {}).error().message;
  };
  EXPECT_EQ(message(R"({"engine":""})"), "engine is \"\": it must be the name of an engine");
  EXPECT_EQ(message(R"({"fallback":1})"), "fallback is 1: it must be the name of an engine");
  EXPECT_EQ(message(R"({"isolation":"none"})"),
            "isolation is \"none\": it must be \"process\", or left out");
}

TEST(CallContext, AnEngineStandsInItsCompileOptions) {
  const auto context = CallContext::parse(
      R"({"compile_options":{"engine":"wasmi","optimization_level":3},"engine":"diesel"})");
  ASSERT_TRUE(context.has_value()) << context.error().message;
  EXPECT_EQ(context->wish, (runtimes::EngineWish{.engine = "wasmi"}));
  const auto wrong = CallContext::parse(R"({"compile_options":{"fallback":{}}})");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().message,
            "context.compile_options.fallback is {}: it must be the name of an engine");
}

TEST(Options, NameTheKeyTheValueAndWhatIsRight) {
  const auto message = [](const std::string& text) {
    const Result<ImplementationOptions> options = parse_options(text, {});
    return options ? "accepted" : options.error().message;
  };
  EXPECT_EQ(message(R"({"limits":{"workers_max":0}})"),
            "limits.workers_max is 0: it must be a whole number from 1 to 1024");
  EXPECT_EQ(message(R"({"limits":{"timeout_ms":1.5}})"),
            "limits.timeout_ms is 1.5E0: it must be a whole number from 1 to 900000");
  EXPECT_EQ(message(R"({"cacheable":1})"), "cacheable is 1: it must be true or false");
  EXPECT_EQ(message(R"({"limits":{"ram":1}})"),
            "limits.ram is not a limit: use memory_bytes_max, disk_bytes_max, processes_max, "
            "log_bytes_max, result_bytes_max, "
            "workers_max, queue_max or timeout_ms");
  EXPECT_EQ(message(R"({"environment":{"1A":"x"}})"),
            "environment: '1A' is not a variable's name: letters, digits and _, no digit first");
  EXPECT_EQ(message(R"({"environment":{"A":1}})"),
            "environment.A must be a string of at most 65536 bytes without NUL");
  EXPECT_EQ(message(R"({"environment":{"A":"\u0000"}})"),
            "environment.A must be a string of at most 65536 bytes without NUL");
  EXPECT_EQ(message("[]"), "options are not a JSON object");
}

TEST(CallContext, ReadsItsKeysAndKeepsTheText) {
  const std::string text =
      R"({"timeout_ms":250,"retain_session":false,"user_id":"u1","environment":{"A":"b"},"other":[1.0]})";
  const Result<CallContext> context = CallContext::parse(text);
  ASSERT_TRUE(context.has_value()) << context.error().message;
  EXPECT_EQ(context->text, text);
  EXPECT_EQ(context->timeout_ms, 250);
  EXPECT_FALSE(context->retain_session);
  EXPECT_EQ(context->user_id, "u1");
  EXPECT_EQ(context->environment.at("A"), "b");
  EXPECT_EQ(context->cacheable, std::nullopt);
  EXPECT_EQ(CallContext::parse(R"({"cacheable":true})")->cacheable, true);
  EXPECT_EQ(CallContext::parse(R"({"cacheable":false})")->cacheable, false);
  EXPECT_EQ(CallContext::parse("")->text, "{}");
  EXPECT_TRUE(CallContext::parse(R"({"environment":"production"})").has_value());
}

TEST(CallContext, NamesWhatIsWrong) {
  EXPECT_EQ(CallContext::parse("[]").error().message, "context is []: it must be an object");
  EXPECT_EQ(CallContext::parse(R"({"timeout_ms":900001})").error().message,
            "context.timeout_ms is 900001: it must be a whole number from 1 to 900000");
  EXPECT_EQ(CallContext::parse(R"({"timeout_ms":"5"})").error().message,
            "context.timeout_ms is \"5\": it must be a whole number from 1 to 900000");
  EXPECT_EQ(CallContext::parse(R"({"cacheable":null})").error().message,
            "context.cacheable is null: it must be true or false");
  EXPECT_EQ(CallContext::parse(R"({"retain_session":1})").error().message,
            "context.retain_session is 1: it must be true or false");
}

FunctionPtr function_with(std::vector<double> weights) {
  auto function = std::make_shared<Function>();
  function->row.language_title = "nodejs-x";
  for (std::size_t i = 0; i < weights.size(); ++i) {
    auto implementation = std::make_shared<Implementation>();
    implementation->row.id = static_cast<std::int64_t>(i) + 1;
    implementation->row.version = static_cast<std::int64_t>(i) + 1;
    function->implementations.insert(function->implementations.begin(), implementation);
    if (weights[i] > 0) {
      function->routes.push_back({.function_id = 1,
                                  .implementation_id = implementation->row.id,
                                  .weight = weights[i],
                                  .shadow = false});
    }
  }
  return function;
}

TEST(Function, ChoosesByWeight) {
  const FunctionPtr function = function_with({1, 0, 3});
  std::array<int, 4> chosen{};
  constexpr std::uint64_t kSteps = 4096;
  for (std::uint64_t i = 0; i < kSteps; ++i) {
    ++chosen[static_cast<std::size_t>(
        (*function->choose(i * (~std::uint64_t{0} / kSteps)))->row.id)];
  }
  EXPECT_NEAR(chosen[1], kSteps * 0.25, 2);
  EXPECT_EQ(chosen[2], 0);
  EXPECT_NEAR(chosen[3], kSteps * 0.75, 2);
  EXPECT_EQ(function_with({0})->choose(7), nullptr);
  EXPECT_EQ((*function->by_version(2))->row.id, 2);
  EXPECT_EQ(function->by_version(4), nullptr);
}

TEST(Catalogue, AChangeLeavesEarlierOnesAsTheyWere) {
  const auto empty = std::make_shared<const Catalogue>();
  const auto one = empty->with(function_with({1}));
  const auto none = one->without("nodejs-x");
  EXPECT_EQ(empty->find("nodejs-x"), nullptr);
  EXPECT_NE(one->find("nodejs-x"), nullptr);
  EXPECT_EQ(none->find("nodejs-x"), nullptr);
  EXPECT_EQ(one->all().size(), 1U);
}

}  // namespace
}  // namespace seam::functions
