#include "cli/examples.h"

#include <array>
#include <string_view>

#include "base/identifier.h"
#include "base/log.h"

namespace seam::embedded {
std::string_view nodejs_calculator();
std::string_view python_text_processor();
std::string_view rust_data_validator();
std::string_view rust_data_validator_module();
std::string_view wasm_text_stats();
}  // namespace seam::embedded

namespace seam::cli {
namespace {

struct Example {
  std::string_view language_title;
  std::string_view content;
  std::string_view description;
  std::string_view schema;
  std::string_view examples;
  std::string_view tag;
};

std::array<Example, 4> all_examples() {
  return {{
      {"nodejs-calculator", embedded::nodejs_calculator(),
       "Adds, subtracts, multiplies or divides two numbers.",
       R"({"params":{"type":"object","required":["operation","a","b"],"properties":{)"
       R"("operation":{"enum":["add","subtract","multiply","divide"]},"a":{"type":"number"},"b":{"type":"number"}}},)"
       R"("result":{"type":"object","required":["result"],"properties":{"result":{"type":"number"}}}})",
       R"([{"name":"adds","params":{"operation":"add","a":1,"b":2},"result":{"result":3}},)"
       R"({"name":"divides","params":{"operation":"divide","a":1,"b":4},"result":{"result":0.25}},)"
       R"({"name":"refuses to divide by zero","params":{"operation":"divide","a":1,"b":0},)"
       R"("error":{"code":"RUNTIME_ERROR","message":"zero"}},)"
       R"({"name":"refuses what is no number","params":{"operation":"add","a":"1","b":2},)"
       R"("error":{"code":"INVALID_PARAMS","message":"/a"}}])",
       "math"},
      {"python-text_processor", embedded::python_text_processor(),
       "Counts the words or characters of a text, or changes its case.",
       R"({"params":{"type":"object","required":["action","text"],"properties":{)"
       R"("action":{"enum":["count_words","count_chars","uppercase","lowercase"]},"text":{"type":"string"}}},)"
       R"("result":{"type":"object","required":["result"]}})",
       R"([{"name":"counts words","params":{"action":"count_words","text":"to be or not"},"result":{"result":4}},)"
       R"({"name":"counts characters","params":{"action":"count_chars","text":"né"},"result":{"result":2}},)"
       R"({"name":"changes case","params":{"action":"uppercase","text":"to be"},"result":{"result":"TO BE"}},)"
       R"({"name":"refuses another action","params":{"action":"reverse","text":""},)"
       R"("error":{"code":"INVALID_PARAMS"}}])",
       "text"},
      {"rust-data_validator", embedded::rust_data_validator(),
       "Checks the fields of an object by rules: required, numeric.",
       R"({"params":{"type":"object","required":["data","rules"],"properties":{"data":{"type":"object"},)"
       R"("rules":{"type":"object"}}},"result":{"type":"object","required":["valid","errors"],)"
       R"("properties":{"valid":{"type":"boolean"},"errors":{"type":"object"}}}})",
       R"([{"name":"takes what is right","params":{"data":{"name":"Ada","age":36},)"
       R"("rules":{"name":"required","age":["required","numeric"]}},"result":{"valid":true,"errors":{}}},)"
       R"({"name":"names what is wrong","params":{"data":{"age":"old"},"rules":{"name":"required","age":"numeric"}},)"
       R"("result":{"valid":false,"errors":{"name":"is required","age":"must be numeric"}}},)"
       R"({"name":"refuses another rule","params":{"data":{},"rules":{"a":"odd"}},)"
       R"("error":{"code":"RUNTIME_ERROR","message":"is no rule"}}])",
       "validation"},
      {"wasm-text_stats", embedded::wasm_text_stats(),
       "Counts lines, words, characters and bytes of a text, with its digests.",
       R"({"params":{"type":"object","required":["text"],"properties":{"text":{"type":"string"}}},"result":{"type":"object"}})",
       R"([{"name":"counts a line","params":{"text":"to be or not\n"}},)"
       R"({"name":"refuses to count nothing","params":{},"error":{"code":"INVALID_PARAMS","message":"text"}}])",
       "text"},
  }};
}

}  // namespace

std::map<std::string, std::string_view> precompiled_examples() {
  return {
      {sha256_hex(embedded::rust_data_validator()), embedded::rust_data_validator_module()},
  };
}

namespace {

constexpr int kPutsAgain = 3;

bool is_passing(const Result<functions::Written>& written) {
  return !written && (written.error().code == ErrorCode::kUnavailable ||
                      written.error().code == ErrorCode::kDeadlineExceeded);
}

}  // namespace

Task<std::vector<std::string>> register_examples(functions::Registry& registry,
                                                 functions::ImplementationOptions defaults) {
  std::vector<std::string> registered;
  for (const Example& example : all_examples()) {
    functions::PutRequest put;
    put.language_title = example.language_title;
    put.content = example.content;
    put.description = example.description;
    put.schema = example.schema;
    put.examples = example.examples;
    put.tags = {"example", std::string(example.tag)};
    put.options = defaults;
    Result<functions::Written> written = co_await registry.put(put);
    // On a slow or busy machine the first worker of a language may not be ready in time.
    for (int again = 0; again < kPutsAgain && is_passing(written); ++again) {
      written = co_await registry.put(put);
    }
    if (written) {
      registered.emplace_back(example.language_title);
    } else {
      log_warning("the example {} is not registered: {}", example.language_title,
                  written.error().message);
    }
  }
  co_return registered;
}

}  // namespace seam::cli
