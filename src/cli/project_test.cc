#include "cli/project.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

namespace seam::cli {
namespace {

namespace fs = std::filesystem;

class ProjectTest : public testing::Test {
 protected:
  ProjectTest() {
    char name[] = "/tmp/seam-project-XXXXXX";
    outer_ = ::mkdtemp(name);
    folder_ = outer_ + "/slugs";
    fs::create_directory(folder_);
  }
  ~ProjectTest() override { fs::remove_all(outer_); }
  void write(const std::string& name, const std::string& text = "") const {
    const fs::path path = fs::path(folder_) / name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  [[nodiscard]] std::string refusal(const std::string& name = "") const {
    const Result<Project> project = read_project(folder_, name);
    if (project) return "none";
    std::string message = project.error().message;
    for (std::size_t at = 0; (at = message.find(folder_, at)) != std::string::npos;)
      message.replace(at, folder_.size(), "DIR");
    return message;
  }
  [[nodiscard]] std::string manifest() const {
    const Result<Project> project = read_project(folder_, "");
    return project ? project->manifest : project.error().message;
  }
  [[nodiscard]] std::vector<std::string> packed(
      const std::vector<std::string>& left_out = {}) const {
    const auto files = list_files(folder_, left_out);
    if (!files) return {files.error().message};
    std::vector<std::string> paths;
    for (const packages::ArchiveFile& file : *files) paths.push_back(file.path);
    return paths;
  }

  std::string outer_;
  std::string folder_;
};

TEST_F(ProjectTest, TheNameIsGivenOrTheManifestsOrMadeOfTheFolders) {
  write("index.js");
  EXPECT_EQ(read_project(folder_, "")->name, "nodejs-slugs");
  EXPECT_EQ(read_project(folder_, "other")->name, "nodejs-other");
  EXPECT_EQ(read_project(folder_, "js-other")->name, "js-other");
  write("seam.function.yaml", "name: nodejs-mine\n");
  EXPECT_EQ(read_project(folder_, "")->name, "nodejs-mine");
  EXPECT_EQ(read_project(folder_, "nodejs-given")->name, "nodejs-given");
  EXPECT_EQ(read_project(folder_ + "/index.js", "")->name, "nodejs-index");
}

TEST_F(ProjectTest, TheFilesTellTheLanguageAndAnythingElseIsAsked) {
  EXPECT_EQ(
      refusal(),
      "DIR holds no package.json, requirements.txt, Cargo.toml, and no .js, .py, .rs or .wasm "
      "file: what is to be deployed?");
  write("main.py");
  EXPECT_EQ(read_project(folder_, "")->kind, ProjectKind::kPython);
  write("index.js");
  EXPECT_EQ(refusal(),
            "DIR may be for nodejs or python: give the function's name with its language, such as "
            "nodejs-slugs");
  EXPECT_EQ(read_project(folder_, "python-x")->kind, ProjectKind::kPython);
  EXPECT_EQ(read_project(folder_, "nodejs-x")->kind, ProjectKind::kNode);
  write("requirements.txt");
  EXPECT_EQ(read_project(folder_, "")->name, "python-slugs");
  EXPECT_EQ(refusal("wasm-x"), "DIR holds 0 .wasm files: give the path of the one to deploy");
  write("a.wasm");
  EXPECT_EQ(read_project(folder_, "wasm-x")->file, fs::canonical(folder_).string() + "/a.wasm");
  write("Cargo.toml");
  EXPECT_EQ(read_project(folder_, "wasm-x")->kind, ProjectKind::kCargo);
  EXPECT_EQ(refusal("nodejs-a b").substr(0, 49),
            "\"nodejs-a b\" is not a function's name: 1 to 64 le");
  write("notes.txt");
  EXPECT_FALSE(read_project(folder_ + "/notes.txt", "").has_value());
  EXPECT_EQ(read_project(folder_ + "/absent", "").error().code, ErrorCode::kNotFound);
}

TEST_F(ProjectTest, AManifestBecomesTheKeysOfAPut) {
  write("main.py");
  write("seam.function.yaml",
        "description: Makes slugs\nentry: main.py:go\ncacheable: true\nconcurrency: 2\ntags: "
        "[text, 1]\n"
        "environment: {LEVEL: 3, ON: true, EMPTY: }\nlimits:\n  memory_bytes_max: 134217728\n"
        "schema: {params: {type: object, const: \"5\", maximum: 5}}\nexamples:\n  - params: {text: "
        "A b}\n");
  EXPECT_EQ(
      manifest(),
      R"({"description":"Makes slugs","entry":"main.py:go","cacheable":true,"concurrency":2,"tags":["text","1"],)"
      R"("environment":{"LEVEL":"3","ON":"true","EMPTY":""},"limits":{"memory_bytes_max":134217728},)"
      R"("schema":{"params":{"type":"object","const":"5","maximum":5}},"examples":[{"params":{"text":"A b"}}]})");
}

TEST_F(ProjectTest, PackageJsonMayHoldTheManifest) {
  write(
      "package.json",
      R"({"name": "x", "seam": {"name": "nodejs-p", "entry": "a.js", "limits": {"queue_max": 1}}})");
  const Result<Project> project = read_project(folder_, "");
  ASSERT_TRUE(project.has_value()) << project.error().message;
  EXPECT_EQ(project->name, "nodejs-p");
  EXPECT_EQ(project->manifest, R"({"entry":"a.js","limits":{"queue_max": 1}})");
  EXPECT_EQ(project->said_in, "package.json");
  write("seam.function.yaml", "entry: b.js\n");
  EXPECT_EQ(refusal(),
            "DIR/seam.function.yaml and \"seam\" in DIR/package.json both describe the function: "
            "keep one");
}

TEST_F(ProjectTest, WhatIsWrongInAManifestIsNamedWithItsPlace) {
  write("index.js");
  write("seam.function.yaml", "entry: a.js\nenviroment: {}\n");
  EXPECT_EQ(refusal(),
            "DIR/seam.function.yaml:2: \"enviroment\" is not a key of a function. Did you mean "
            "environment?");
  write("seam.function.yaml", "description: [a]\n");
  EXPECT_EQ(refusal(), "DIR/seam.function.yaml:1: description must be a text");
  write("seam.function.yaml", "- a\n");
  EXPECT_EQ(refusal(), "DIR/seam.function.yaml:1: the file must be `key: value` lines");
  fs::remove(folder_ + "/seam.function.yaml");
  write("package.json", R"({"seam": {"content": "x"}})");
  EXPECT_EQ(refusal().substr(0, 72),
            "DIR/package.json: \"seam\": \"content\" is not a key of a function. It may h");
  write("package.json", R"({"seam": {"name": 3}})");
  EXPECT_EQ(refusal(), "DIR/package.json: \"seam\": name is 3: it must be a text");
  write("package.json", R"({"seam": 3})");
  EXPECT_EQ(refusal(), "DIR/package.json: \"seam\" must be an object with the function's keys");
  write("package.json", "{");
  EXPECT_TRUE(refusal().starts_with("DIR/package.json: "));
}

TEST_F(ProjectTest, WhatAServerRefusesHasItsPlaceInTheManifest) {
  write("index.js");
  write(
      "seam.function.yaml",
      "entry: index.js\nlimits:\n  workers_max: 2\n  queue_max: -1\nschema:\n  params:\n    type: "
      "objct\nexamples:\n  - params: {}\n  - parms: {}\n");
  const Project project = *read_project(folder_, "");
  const auto place = [&](std::string_view message) {
    return place_in_manifest(project, "slugs/", message);
  };
  EXPECT_EQ(said_in(project, "./"), "seam.function.yaml");
  EXPECT_EQ(place("limits.queue_max is -1: it must be"), "slugs/seam.function.yaml:4");
  EXPECT_EQ(place("limits.queue_mx is not a limit"), "slugs/seam.function.yaml:2");
  EXPECT_EQ(place("\"schema\": /params/type: is \"objct\""), "slugs/seam.function.yaml:7");
  EXPECT_EQ(place("\"examples\": /1/parms: is not"), "slugs/seam.function.yaml:10");
  EXPECT_EQ(place("\"examples\": /7: is not"), "slugs/seam.function.yaml:8");
  EXPECT_EQ(place("concurrency is 0"), "") << "the manifest does not say it";
  EXPECT_EQ(place("SyntaxError: limits.queue_max"), "");
  EXPECT_EQ(place(""), "");
  fs::remove(folder_ + "/seam.function.yaml");
  write("package.json", R"({"seam": {"limits": {"queue_max": -1}}})");
  EXPECT_EQ(place_in_manifest(*read_project(folder_, ""), "slugs", "limits.queue_max is -1"),
            "slugs/package.json: \"seam\"");
  EXPECT_EQ(place_in_manifest(*read_project(folder_ + "/index.js", ""), "index.js", "limits is"),
            "");
}

TEST_F(ProjectTest, FilesAreListedWithoutWhatIsIgnored) {
  for (const char* name : {"index.js", "a/b.js", "a/notes.md", "README.md", ".git/config",
                           "a/.git/x", ".env", "b/__pycache__/x.pyc", "node_modules/x/index.js",
                           "a/node_modules/y.js", "big/one.bin", "big/keep.bin", "docs/x/y.txt"})
    write(name);
  EXPECT_EQ(packed({"node_modules"}),
            (std::vector<std::string>{"README.md", "a/b.js", "a/node_modules/y.js", "a/notes.md",
                                      "big/keep.bin", "big/one.bin", "docs/x/y.txt", "index.js"}));
  write(".seamignore",
        "# not the docs\n*.md\n!README.md\n/docs/\nbig/*\n!big/keep.bin\na/**/y.js\n");
  EXPECT_EQ(packed({"node_modules"}),
            (std::vector<std::string>{"README.md", "a/b.js", "big/keep.bin", "index.js"}));
}

TEST(IgnoreRules, PatternsAreGitsWithinReason) {
  IgnoreRules rules;
  rules.add("*.log\nbuild/\n/top\nsrc/*.o\n**/cache/*\nx/**\n!keep.log\r\n  \n[ab].txt\n");
  EXPECT_TRUE(rules.ignores("a.log", false));
  EXPECT_TRUE(rules.ignores("deep/er/a.log", false));
  EXPECT_FALSE(rules.ignores("deep/keep.log", false));
  EXPECT_TRUE(rules.ignores("deep/build", true));
  EXPECT_FALSE(rules.ignores("deep/build", false));
  EXPECT_TRUE(rules.ignores("top", false));
  EXPECT_FALSE(rules.ignores("deep/top", false));
  EXPECT_TRUE(rules.ignores("src/a.o", false));
  EXPECT_FALSE(rules.ignores("src/deep/a.o", false));
  EXPECT_TRUE(rules.ignores("q/cache/z", false));
  EXPECT_TRUE(rules.ignores("cache/z", false));
  EXPECT_TRUE(rules.ignores("x/y/z", false));
  EXPECT_FALSE(rules.ignores("x", true));
  EXPECT_TRUE(rules.ignores("a.txt", false));
  EXPECT_FALSE(rules.ignores("c.txt", false));
}

TEST_F(ProjectTest, ABuildIsACommandOfTheManifestAndNoKeyOfAPut) {
  write("index.js");
  EXPECT_EQ(*read_build(folder_), "");
  write("seam.function.yaml", "build: npx tsc --outDir .\ndescription: Slugs\n");
  EXPECT_EQ(*read_build(folder_), "npx tsc --outDir .");
  EXPECT_EQ(manifest(), R"({"description":"Slugs"})");
  write("seam.function.yaml", "build: [npx, tsc]\n");
  EXPECT_EQ(refusal(), "DIR/seam.function.yaml:1: build must be a text");
  fs::remove(fs::path(folder_) / "seam.function.yaml");
  write("package.json", R"({"seam": {"build": "make"}})");
  EXPECT_EQ(*read_build(folder_), "make");
  EXPECT_EQ(manifest(), "{}");
  write("package.json", R"({"seam": {"build": 1}})");
  EXPECT_EQ(refusal(), "DIR/package.json: \"seam\": build is 1: it must be a text");
}

TEST_F(ProjectTest, AFunctionInRustIsOneSource) {
  write("Cargo.toml");
  write("src/lib.rs", "source");
  const Result<Project> project = read_project(folder_, "rust-slugs");
  ASSERT_TRUE(project);
  EXPECT_EQ(project->kind, ProjectKind::kSingle);
  EXPECT_TRUE(project->file.ends_with("/src/lib.rs"));
  EXPECT_EQ(read_project(folder_, "wasm-slugs")->kind, ProjectKind::kCargo);
  write("src/main.rs");
  EXPECT_EQ(read_project(folder_, "rust-slugs")->kind, ProjectKind::kCargo);
  EXPECT_EQ(read_project(folder_ + "/src/lib.rs", "")->name, "rust-lib");
}

TEST_F(ProjectTest, TheSourceInRustThatLiesElsewhereIsNamedWithWhereItBelongs) {
  EXPECT_EQ(refusal("rust-slugs"),
            "DIR holds no src/lib.rs, which is the function of a folder in Rust: write it, or give "
            "the path of the .rs file");
  write("lib.rs", "source");
  const std::string astray =
      "DIR holds lib.rs and no src/lib.rs: the function of a folder is src/lib.rs. Move it there, "
      "or "
      "give the file itself: DIR/lib.rs rust-slugs";
  EXPECT_EQ(refusal("rust-slugs"), astray);
  EXPECT_EQ(refusal(), astray) << "the language is told by the file";
  write("Cargo.toml");
  EXPECT_EQ(refusal("rust-slugs"), astray);
  write("src/lib.rs", "source");
  EXPECT_TRUE(read_project(folder_, "rust-slugs")->file.ends_with("/src/lib.rs"));
  fs::remove(fs::path(folder_) / "Cargo.toml");
  EXPECT_EQ(read_project(folder_, "")->name, "rust-slugs");
}

TEST_F(ProjectTest, WhatEditorsLeaveIsNotPacked) {
  for (const char* name : {"index.js", ".index.js.swp", "index.js~", ".#index.js"}) write(name);
  EXPECT_EQ(packed(), std::vector<std::string>{"index.js"});
}

TEST_F(ProjectTest, TheFirstExampleShowsHowToCall) {
  write("index.js");
  EXPECT_EQ(example_params(*read_project(folder_, "")), "{}");
  write("seam.function.yaml", "examples:\n  - params: {title: 'a}b', n: {x: 1}}\n  - params: {}\n");
  EXPECT_EQ(example_params(*read_project(folder_, "")), R"({"title":"a}b","n":{"x":1}})");
}

}  // namespace
}  // namespace seam::cli
