#include "config/load.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "config/nearest.h"
#include "config/yaml.h"

namespace seam::config {
namespace {

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all{
      {.key = "port",
       .environment = {{.name = "PORT"}},
       .type = Type::kInteger,
       .default_text = "8080",
       .maximum = 65'535},
      {.key = "timeout_ms",
       .environment = {{.name = "TIMEOUT_SECONDS", .scale = 1000}},
       .type = Type::kInteger,
       .default_text = "30000",
       .minimum = 1,
       .maximum = 900'000,
       .unit = "milliseconds"},
      {.key = "limits.source_bytes_max",
       .type = Type::kBytes,
       .default_text = "1MiB",
       .minimum = 1024,
       .maximum = 64 << 20},
      {.key = "log.level",
       .type = Type::kChoice,
       .default_text = "info",
       .choices = {"debug", "info"}},
      {.key = "runtimes.node.command",
       .default_text = "/usr/bin/node",
       .check =
           [](const Value& v) {
             return std::get<std::string>(v).starts_with('/')
                        ? ""
                        : "is not an absolute path. Write it from the root.";
           }},
      {.key = "home", .default_from = [](const Environment& e) { return e.at("HOME") + "/seam"; }},
      {.key = "map",
       .type = Type::kEntries,
       .default_text = "[{prefix: a-, runtime: a}]",
       .fields = {"prefix", "runtime"},
       .check = [](const Value& v) {
         return std::get<std::vector<Entry>>(v)[0].fields.contains("runtime")
                    ? ""
                    : "a rule has a runtime";
       }}};
  return all;
}

const std::vector<Unbuilt>& unbuilt() {
  static const std::vector<Unbuilt> all{
      {"database.url", "DATABASE_URL", "PostgreSQL is not in this build. Remove it."}};
  return all;
}

// Writes files into a directory of its own and loads from there.
class ConfigLoad : public testing::Test {
 protected:
  ConfigLoad() {
    std::string name = (std::filesystem::temp_directory_path() / "seam-config-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    before_ = std::filesystem::current_path();
    std::filesystem::current_path(directory_);
  }
  ~ConfigLoad() override {
    std::filesystem::current_path(before_);
    std::filesystem::remove_all(directory_);
  }

  void write(const std::string& text, const std::string& name = "seam.yaml") {
    std::ofstream(directory_ / name) << text;
  }

  Result<std::vector<Effective>> load_from(
      std::vector<std::pair<std::string, std::string>> flags = {}, Environment environment = {},
      std::string file = {}) {
    environment.emplace("HOME", "/home/ann");
    const Sources sources{
        .flags = std::move(flags), .environment = std::move(environment), .file = std::move(file)};
    return load(settings(), unbuilt(), sources);
  }

  // "value from source" of a setting, or the error's text.
  std::string effective(std::string_view key, const Result<std::vector<Effective>>& loaded) {
    if (!loaded) return loaded.error().message;
    for (const Effective& each : *loaded) {
      if (each.setting->key == key)
        return format_value(*each.setting, each.value) + " from " + each.source;
    }
    return "not there";
  }

  std::string error(const Result<std::vector<Effective>>& loaded) {
    return loaded ? "no error" : loaded.error().message;
  }
  // The message for this seam.yaml.
  std::string file_error(const std::string& text) {
    write(text);
    return error(load_from());
  }

  std::filesystem::path directory_;
  std::filesystem::path before_;
};

TEST_F(ConfigLoad, DefaultsWithoutAnything) {
  const auto loaded = load_from();
  EXPECT_EQ(effective("port", loaded), "8080 from default");
  EXPECT_EQ(effective("limits.source_bytes_max", loaded), "1MiB from default");
  EXPECT_EQ(effective("map", loaded), "[{prefix: a-, runtime: a}] from default");
  EXPECT_EQ(effective("home", loaded), "/home/ann/seam from default");
}

TEST_F(ConfigLoad, FlagOverEnvironmentOverFileOverDefault) {
  EXPECT_EQ(effective("port", load_from()), "8080 from default");
  write("# comment\nport: 1\n");
  EXPECT_EQ(effective("port", load_from()), "1 from seam.yaml:2");
  EXPECT_EQ(effective("port", load_from({}, {{"PORT", "2"}})), "2 from environment PORT");
  EXPECT_EQ(effective("port", load_from({}, {{"PORT", "2"}, {"SEAM_PORT", "3"}})),
            "3 from environment SEAM_PORT");
  EXPECT_EQ(effective("port", load_from({{"--port", "4"}}, {{"PORT", "2"}})), "4 from flag --port");
  EXPECT_EQ(effective("port", load_from({{"--port", "4"}, {"--port", "5"}})), "5 from flag --port");
}

// A value that is overruled is still a mistake worth telling.
TEST_F(ConfigLoad, ChecksOverruledValuesToo) {
  write("port: many\n");
  EXPECT_EQ(
      error(load_from({{"--port", "4"}})),
      "seam.yaml:1: port: \"many\" is not a whole number. Give a whole number from 0 to 65535.");
}

TEST_F(ConfigLoad, AVariableSetToNothingIsNotSet) {
  EXPECT_EQ(
      effective("port", load_from({}, {{"PORT", ""}, {"DATABASE_URL", ""}, {"SEAM_PROT", ""}})),
      "8080 from default");
}

TEST_F(ConfigLoad, KeptVariablesMayHaveAnotherUnit) {
  EXPECT_EQ(effective("timeout_ms", load_from({}, {{"TIMEOUT_SECONDS", "5"}})),
            "5000 from environment TIMEOUT_SECONDS");
  EXPECT_EQ(effective("timeout_ms", load_from({}, {{"SEAM_TIMEOUT_MS", "5"}})),
            "5 from environment SEAM_TIMEOUT_MS");
  EXPECT_EQ(error(load_from({}, {{"TIMEOUT_SECONDS", "901"}})),
            "environment TIMEOUT_SECONDS: timeout_ms: \"901\" is out of range. Give a whole number "
            "of milliseconds from "
            "1 to 900000.");
  EXPECT_EQ(error(load_from({}, {{"TIMEOUT_SECONDS", "9223372036854775807"}})),
            "environment TIMEOUT_SECONDS: timeout_ms: \"9223372036854775807\" is out of range. "
            "Give a whole number of "
            "milliseconds from 1 to 900000.");
}

TEST_F(ConfigLoad, NamesSourceKeyValueAndRemedyOfAWrongValue) {
  EXPECT_EQ(error(load_from({{"--port", "80800"}})),
            "flag --port: port: \"80800\" is out of range. Give a whole number from 0 to 65535.");
  EXPECT_EQ(error(load_from({{"--port", "99999999999999999999"}})),
            "flag --port: port: \"99999999999999999999\" is out of range. Give a whole number from "
            "0 to 65535.");
  EXPECT_EQ(error(load_from({{"--port", "-1"}})),
            "flag --port: port: \"-1\" is out of range. Give a whole number from 0 to 65535.");
  EXPECT_EQ(
      error(load_from({{"--port", "8080.5"}})),
      "flag --port: port: \"8080.5\" is not a whole number. Give a whole number from 0 to 65535.");
  EXPECT_EQ(error(load_from({{"--port", ""}})),
            "flag --port: port: \"\" is not a whole number. Give a whole number from 0 to 65535.");
  EXPECT_EQ(
      error(load_from({{"--log-level", "loud"}})),
      "flag --log-level: log.level: \"loud\" is not one of the choices. Give one of debug, info.");
  EXPECT_EQ(error(load_from({{"--limits-source-bytes-max", "1 MB"}})),
            "flag --limits-source-bytes-max: limits.source_bytes_max: \"1 MB\" is not a size. Give "
            "a size from 1KiB to "
            "64MiB, such as 64MiB.");
  EXPECT_EQ(error(load_from({{"--runtimes-node-command", "node"}})),
            "flag --runtimes-node-command: runtimes.node.command: \"node\" is not an absolute "
            "path. Write it from the "
            "root.");
  EXPECT_EQ(
      error(load_from({{"--runtimes-node-command", " "}})),
      "flag --runtimes-node-command: runtimes.node.command: \" \" is empty. Give a line of text.");
  EXPECT_EQ(error(load_from({{"--runtimes-node-command", "/a\nb"}})),
            "flag --runtimes-node-command: runtimes.node.command: the value holds a control "
            "character. Give a line of "
            "text.");
}

TEST_F(ConfigLoad, UnknownNamesSuggestTheNearest) {
  EXPECT_EQ(file_error("prot: 1\n"), "seam.yaml:1: prot: no such setting. Did you mean port?");
  EXPECT_EQ(file_error("log:\n  levle: info\n"),
            "seam.yaml:2: log.levle: no such setting. Did you mean log.level? log may have level.");
  EXPECT_EQ(file_error("elephant: 1\n"),
            "seam.yaml:1: elephant: no such setting. See `seam config --help` for all of them.");
  EXPECT_EQ(error(load_from({{"--prot", "1"}})), "flag --prot: no such flag. Did you mean --port?");
  std::filesystem::remove("seam.yaml");
  EXPECT_EQ(error(load_from({}, {{"SEAM_PROT", "1"}})),
            "environment SEAM_PROT: no such setting. Did you mean SEAM_PORT?");
  EXPECT_EQ(error(load_from({}, {{"SEAM_ELEPHANT", "1"}})), "no error")
      << "belongs to somebody else";
}

TEST_F(ConfigLoad, AllThatIsWrongInTheFileIsToldAtOnce) {
  EXPECT_EQ(file_error("prot: 1\nlog:\n  levle: info\n  level: loud\nport: many\ntimeout_ms: 1\n"
                       "database:\n  url: postgres://ann:secret@db\n"),
            "seam.yaml:1: prot: no such setting. Did you mean port?\n"
            "seam.yaml:3: log.levle: no such setting. Did you mean log.level? log may have level.\n"
            "seam.yaml:4: log.level: \"loud\" is not one of the choices. Give one of debug, info.\n"
            "seam.yaml:5: port: \"many\" is not a whole number. Give a whole number from 0 to "
            "65535.\n"
            "seam.yaml:8: database.url: PostgreSQL is not in this build. Remove it.");
  std::string many;
  for (int i = 0; i < 23; ++i) many += fmt::format("elephant{}: 1\n", i);
  const std::string told = file_error(many);
  EXPECT_EQ(std::ranges::count(told, '\n'), 20);
  EXPECT_TRUE(told.contains("elephant19: no such setting."));
  EXPECT_TRUE(told.ends_with("\nseam.yaml: 3 more are wrong.")) << told;
}

TEST_F(ConfigLoad, NamesOfPartsNotBuiltAreRefusedWithoutTheirValue) {
  EXPECT_EQ(error(load_from({}, {{"DATABASE_URL", "postgres://ann:secret@db"}})),
            "environment DATABASE_URL: PostgreSQL is not in this build. Remove it.");
  EXPECT_EQ(file_error("database:\n  url: postgres://ann:secret@db\n"),
            "seam.yaml:2: database.url: PostgreSQL is not in this build. Remove it.");
  EXPECT_EQ(
      explain_unknown_flag("--database-url=postgres://ann:secret@db", settings(), unbuilt(), {}),
      "flag --database-url: PostgreSQL is not in this build. Remove it.");
  const std::vector<std::string> others{"--json"};
  EXPECT_EQ(explain_unknown_flag("--jsn", settings(), unbuilt(), others),
            "flag --jsn: no such flag. Did you mean --json?");
}

TEST_F(ConfigLoad, ShapesOfTheFile) {
  EXPECT_EQ(file_error(""), "no error");
  EXPECT_EQ(file_error("# nothing\n"), "no error");
  EXPECT_EQ(file_error("log:\n"), "no error");
  EXPECT_EQ(file_error("log: info\n"),
            "seam.yaml:1: log: is a group of settings. Write them below it, indented.");
  EXPECT_EQ(file_error("port:\n"),
            "seam.yaml:1: port: has no value. Give a whole number from 0 to 65535.");
  EXPECT_EQ(file_error("port: [1]\n"),
            "seam.yaml:1: port: is not a single value. Give a whole number from 0 to 65535.");
  EXPECT_EQ(file_error("- port\n"), "seam.yaml:1: not a map. Write one \"key: value\" a line.");
  EXPECT_EQ(file_error("port: 1\nport: 2\n"), "seam.yaml:2: \"port\" is set twice. Keep one.");
  EXPECT_EQ(file_error("log.level: debug\nlog:\n  level: info\n"),
            "seam.yaml:3: log.level: is set twice. Keep one.");
}

TEST_F(ConfigLoad, ListsOfMaps) {
  write("map:\n  - prefix: js-\n    runtime: nodejs\n  - {prefix: py-, runtime: python}\n");
  EXPECT_EQ(effective("map", load_from()),
            "[{prefix: js-, runtime: nodejs}, {prefix: py-, runtime: python}] from seam.yaml:1");
  EXPECT_EQ(effective("map", load_from({{"--map", "[{prefix: x-, runtime: y}]"}})),
            "[{prefix: x-, runtime: y}] from flag --map");
  EXPECT_EQ(file_error("map: nodejs\n"),
            "seam.yaml:1: map: not a list. Give a list of maps with prefix, runtime.");
  EXPECT_EQ(
      file_error("map:\n  - prefix: a\n    runtime: b\n  - name: a\n"),
      "seam.yaml:4: map: \"name\" is unknown here. Give a list of maps with prefix, runtime.");
  EXPECT_EQ(file_error("map:\n  - prefix: a\n    runtime: b\n  - prefix: a\n"),
            "seam.yaml:4: map: a rule has a runtime. Give a list of maps with prefix, runtime.");
  EXPECT_EQ(file_error("map: []\n"),
            "seam.yaml:1: map: is empty. Give a list of maps with prefix, runtime.");
  std::filesystem::remove("seam.yaml");
  EXPECT_EQ(error(load_from({{"--map", "[{prefix"}})).substr(0, 24), "flag --map:1: not YAML: ");
  EXPECT_EQ(error(load_from({{"--map", "[a]"}})),
            "flag --map: map: holds something that is not a map. Give a list of maps with prefix, "
            "runtime.");
}

TEST_F(ConfigLoad, NamedFiles) {
  write("port: 7\n", "other.yaml");
  write("port: 8\n");
  EXPECT_EQ(effective("port", load_from({}, {}, "other.yaml")), "7 from other.yaml:1");
  EXPECT_EQ(effective("port", load_from({}, {{"SEAM_CONFIG", "other.yaml"}})),
            "7 from other.yaml:1");
  EXPECT_EQ(effective("port", load_from({}, {{"SEAM_CONFIG", "gone.yaml"}}, "other.yaml")),
            "7 from other.yaml:1");
  const auto gone = load_from({}, {}, "gone.yaml");
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(gone.error().message, "gone.yaml: No such file or directory");
  EXPECT_EQ(error(load_from({}, {}, ".")), ".: not a regular file. Name a YAML file.");
  EXPECT_EQ(error(load_from({}, {}, "/dev/zero")),
            "/dev/zero: not a regular file. Name a YAML file.");
}

TEST(ConfigBytes, ReadAndWritten) {
  EXPECT_EQ(parse_bytes("64MiB").value_or(-1), 64 << 20);
  EXPECT_EQ(parse_bytes("64 mib").value_or(-1), 64 << 20);
  EXPECT_EQ(parse_bytes("1GiB").value_or(-1), 1 << 30);
  EXPECT_EQ(parse_bytes("12").value_or(-1), 12);
  EXPECT_EQ(parse_bytes("12B").value_or(-1), 12);
  for (const char* wrong : {"", "MiB", "1.5MiB", "-1", "1TiB", "8589934592GiB", "0x10", "1 2KiB"}) {
    EXPECT_FALSE(parse_bytes(wrong)) << wrong;
  }
  EXPECT_EQ(format_bytes(0), "0");
  EXPECT_EQ(format_bytes(1000), "1000");
  EXPECT_EQ(format_bytes(1536), "1536");
  EXPECT_EQ(format_bytes(6 << 20), "6MiB");
}

TEST(ConfigShown, IsShortAndPlain) {
  EXPECT_EQ(shown("a\x1b[31mb\n"), "a?[31mb?");
  EXPECT_EQ(shown(std::string(80, 'a')), std::string(80, 'a'));
  EXPECT_EQ(shown(std::string(79, 'a') + "é"), std::string(79, 'a') + "…");
  EXPECT_EQ(shown(std::string(1'000'000, 'a')), std::string(80, 'a') + "…");
}

TEST(ConfigNearest, FindsSlipsAndNothingElse) {
  const std::vector<std::string> words{"--port", "--host", "--data"};
  EXPECT_EQ(nearest("--prot", words), "--port");
  EXPECT_EQ(nearest("--por", words), "--port");
  EXPECT_EQ(nearest("--portt", words), "--port");
  EXPECT_EQ(nearest("--hast", words), "--host");
  EXPECT_EQ(nearest("--elephant", words), "");
  EXPECT_EQ(nearest(std::string(100'000, 'p'), words), "");
  EXPECT_EQ(nearest("", words), "");
}

std::string yaml_error(std::string_view text) {
  const Result<YamlNode> node = parse_yaml(text, "f");
  return node ? "no error" : node.error().message;
}

TEST(ConfigYaml, RefusesWhatAConfigurationDoesNotNeed) {
  EXPECT_EQ(yaml_error("a: &x [1]\n"), "f:1: anchors (&name) are not allowed. Remove it.");
  EXPECT_EQ(yaml_error("a: &x 1\nb: *x\n"), "f:1: anchors (&name) are not allowed. Remove it.");
  EXPECT_EQ(yaml_error("a: !!str 1\n"), "f:1: tags (!name) are not allowed. Remove it.");
  EXPECT_EQ(yaml_error("? [a]\n: b\n"), "f:1: a key must be a word.");
  EXPECT_EQ(yaml_error("a: 1\n---\nb: 2\n"), "f:3: a second document begins here. Keep one.");
  EXPECT_EQ(yaml_error(std::string_view("a: \0", 4)),
            "f: holds a NUL byte, so it is not a text file.");
  EXPECT_EQ(yaml_error("a: 1\nb: [1\n").substr(0, 14), "f:3: not YAML:");
  EXPECT_EQ(yaml_error("\ta: 1\n").substr(0, 14), "f:1: not YAML:");
}

TEST(ConfigYaml, IsBounded) {
  EXPECT_EQ(yaml_error(std::string(17, '[')), "f:1: nested deeper than 16 levels.");
  EXPECT_EQ(yaml_error(std::string(100'000, '[')), "f:1: nested deeper than 16 levels.");
  EXPECT_EQ(yaml_error(std::string((1U << 20U) + 1, '#')),
            "f: 1048577 bytes are more than the 1048576 that a configuration may have.");
  std::string many = "[";
  for (int i = 0; i < 65'536; ++i) many += "1,";
  EXPECT_EQ(yaml_error(many + "1]"), "f:1: more than 65536 values.");
}

TEST(ConfigYaml, KeepsLinesAndOrder) {
  const Result<YamlNode> root = parse_yaml("# c\nb: 1\na:\n  - 'x y'\n  - \"\\u00e9\"\n", "f");
  ASSERT_TRUE(root) << root.error().message;
  ASSERT_EQ(root->items.size(), 2U);
  EXPECT_EQ(root->items[0].key, "b");
  EXPECT_EQ(root->items[0].key_line, 2);
  EXPECT_EQ(root->items[1].items[0].scalar, "x y");
  EXPECT_EQ(root->items[1].items[1].scalar, "é");
  EXPECT_EQ(root->items[1].items[1].line, 5);
}

}  // namespace
}  // namespace seam::config
