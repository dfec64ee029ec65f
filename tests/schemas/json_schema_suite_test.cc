// Runs every case of the official suite. A schema that uses what functions/json_schema.h says is
// not supported must be refused, never read as if the keyword were not there; how many those are is
// written down here, so that one more refusal fails this test as well as one less.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <set>
#include <string>

#include "base/json_tree.h"
#include "functions/json_schema.h"

namespace seam::functions {
namespace {

// Schemas of each file that are refused: $dynamicRef, $id below the root, a $ref to elsewhere, a
// dialect of the schema's own, and \p{Letter}, which RE2 spells \p{L}.
const std::map<std::string, int> kRefused = {{"anchor", 3},
                                             {"defs", 1},
                                             {"dynamicRef", 21},
                                             {"pattern", 1},
                                             {"patternProperties", 1},
                                             {"ref", 13},
                                             {"refRemote", 15},
                                             {"unevaluatedItems", 1},
                                             {"unevaluatedProperties", 1},
                                             {"vocabulary", 2}};

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(JsonSchemaSuite, EveryCaseOfEverySupportedSchema) {
  int cases = 0;
  std::map<std::string, int> refused;
  for (const auto& entry : std::filesystem::directory_iterator(SEAM_SUITE)) {
    const std::string name = entry.path().stem().string();
    const std::string text = read_file(entry.path());
    const auto tree = JsonTree::parse(text);
    ASSERT_TRUE(tree.has_value()) << entry.path() << ": " << tree.error().message;
    for (std::uint32_t group = 1; group < (*tree)[0].end; group = (*tree)[group].end) {
      const std::string about = name + ": " + tree->string(*tree->member(group, "description"));
      const auto schema = JsonSchema::compile(tree->text(*tree->member(group, "schema")));
      if (!schema) {
        ++refused[name];
        std::printf("refused: %s: %s\n", about.c_str(), schema.error().message.c_str());
        continue;
      }
      const std::uint32_t tests = *tree->member(group, "tests");
      for (std::uint32_t test = tests + 1; test < (*tree)[tests].end; test = (*tree)[test].end) {
        const auto violations = schema->check(tree->text(*tree->member(test, "data")));
        ASSERT_TRUE(violations.has_value()) << about << ": " << violations.error().message;
        EXPECT_EQ(violations->empty(), tree->is_true(*tree->member(test, "valid")))
            << about << ": " << tree->string(*tree->member(test, "description"))
            << (violations->empty() ? "" : ": " + violations->front().message);
        ++cases;
      }
    }
  }
  EXPECT_EQ(refused, kRefused);
  EXPECT_GT(cases, 1000);
}

}  // namespace
}  // namespace seam::functions
