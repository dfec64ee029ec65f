#include "wasm/module_info.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wasm/wasmtime/wasmtime.h"

namespace seam::wasm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string module_of(std::string_view text) {
  Outcome<std::string> bytes = wasm_from_text(text);
  EXPECT_TRUE(bytes) << bytes.error().message;
  return bytes ? *std::move(bytes) : std::string();
}

ModuleInfo info_of(std::string_view bytes) {
  Outcome<ModuleInfo> info = read_module_info(bytes);
  EXPECT_TRUE(info) << info.error().message;
  return info ? *std::move(info) : ModuleInfo();
}

std::string error_of(std::string_view bytes) {
  const Outcome<ModuleInfo> info = read_module_info(bytes);
  if (info) return "read";
  EXPECT_EQ(info.error().code, ErrorCode::kModuleCompileFailed);
  return info.error().message;
}

constexpr std::string_view kHead("\0asm\1\0\0\0", 8);

// One section: its id, the size of its content, its content.
std::string section(char id, std::string_view content) {
  EXPECT_LT(content.size(), 128);
  return std::string(1, id) + static_cast<char>(content.size()) + std::string(content);
}

std::vector<std::string> lines(const ModuleInfo& info, const std::vector<ModuleExtern>& all) {
  std::vector<std::string> out;
  for (const ModuleExtern& each : all) {
    out.push_back(fmt::format("{}{}{} {} {}", each.module, each.module.empty() ? "" : ".",
                              each.name, to_string(each.kind), info.type_text(each)));
  }
  return out;
}

TEST(ModuleInfo, TellsFilesApart) {
  EXPECT_EQ(file_kind_of(kHead), FileKind::kCoreModule);
  EXPECT_EQ(file_kind_of({"\0asm\x0d\0\1\0", 8}), FileKind::kComponent);
  EXPECT_EQ(file_kind_of({"\0asm\2\0\0\0", 8}), FileKind::kOtherVersion);
  EXPECT_EQ(file_kind_of({"\0asm", 4}), FileKind::kOtherVersion);
  EXPECT_EQ(file_kind_of("(module)"), FileKind::kText);
  EXPECT_EQ(file_kind_of("\xef\xbb\xbf ;; one\n(; (; two ;) ;)\n (module)"), FileKind::kText);
  EXPECT_EQ(file_kind_of("(; without an end"), FileKind::kOther);
  EXPECT_EQ(file_kind_of(""), FileKind::kOther);
  EXPECT_EQ(file_kind_of("#!/bin/sh\n"), FileKind::kOther);
  EXPECT_THAT(error_of("#!/bin/sh\n"), HasSubstr("is no WebAssembly"));
  EXPECT_THAT(error_of({"\0asm\x0d\0\1\0", 8}), HasSubstr("is a component"));
}

TEST(ModuleInfo, ReadsWhatAModuleHolds) {
  const ModuleInfo info = info_of(module_of(R"((module $shown
    (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
    (import "env" "table" (table 3 externref))
    (import "env" "seed" (global i64))
    (func $add (export "add") (param i32 i32) (result i32)
      (i32.add (local.get 0) (local.get 1)))
    (func $two (export "two") (param f32 f64 v128) (result i32 i64)
      (i32.const 1) (i64.const 2))
    (func $begin)
    (start $begin)
    (memory (export "memory") 2 16)
    (table (export "calls") 10 20 funcref)
    (global (export "count") (mut i32) (i32.const 7))
    (elem (i32.const 0) $add)
    (data (i32.const 8) "hello")
    (data "and more")))"));
  EXPECT_THAT(lines(info, info.imports),
              ElementsAre("wasi_snapshot_preview1.proc_exit function (i32) -> ()",
                          "env.table table 3 or more of externref", "env.seed global i64"));
  EXPECT_THAT(
      lines(info, info.exports),
      ElementsAre("add function (i32, i32) -> i32", "two function (f32, f64, v128) -> (i32, i64)",
                  "memory memory 2 to 16 pages", "calls table 10 to 20 of funcref",
                  "count global mutable i32"));
  EXPECT_EQ(info.function_types.size(), 4);
  EXPECT_EQ(info.imported_functions, 1);
  EXPECT_EQ(info.start, 3);
  EXPECT_EQ(info.data_segments, 2);
  EXPECT_EQ(info.data_bytes, 13);
  EXPECT_EQ(info.element_segments, 1);
  EXPECT_GT(info.code_bytes, 10);
  EXPECT_EQ(info.wasi(), "wasi_snapshot_preview1");
  EXPECT_EQ(info.name, "shown");
  EXPECT_EQ(info.function_names, 3);
  ASSERT_NE(info.find_export("add"), nullptr);
  EXPECT_EQ(info.find_export("sub"), nullptr);
  EXPECT_EQ(info.sections.front().name, "type");
  EXPECT_EQ(info.sections.front().offset, 10);
  EXPECT_EQ(info.sections.back().name, "name");
}

TEST(ModuleInfo, ReadsTypesBeyondTheFirstVersion) {
  const ModuleInfo info = info_of(module_of(R"((module
    (rec (type $node (sub (struct (field (mut i8)) (field (ref null $node))))))
    (type $list (array (mut i16)))
    (tag (export "failed") (param i32))
    (global (export "none") (ref null $node) (ref.null none))
    (global (export "sum") i32 (i32.add (i32.const 1) (i32.const 2)))
    (table (export "t") 1 (ref null func) (ref.null func))
    (memory (export "big") i64 1 2)
    (func (export "f") (param anyref exnref) (result (ref null $node)) (ref.null none))))"));
  EXPECT_THAT(lines(info, info.exports),
              ElementsAre("failed tag (i32) -> ()", "none global (ref null 0)", "sum global i32",
                          "t table 1 or more of funcref", "big memory 1 to 2 pages",
                          "f function (anyref, exnref) -> (ref null 0)"));
  EXPECT_TRUE(info.memories.front().pages.is_64);
  EXPECT_EQ(info.wasi(), "");
}

TEST(ModuleInfo, CutsLongTypes) {
  std::string params;
  for (int i = 0; i < 100; ++i) params += " i32";
  const ModuleInfo info =
      info_of(module_of("(module (func (export \"f\") (param" + params + ")))"));
  EXPECT_THAT(info.type_text(info.exports.front()), HasSubstr("i32, … 84 more) -> ()"));
  EXPECT_LT(info.type_text(info.exports.front()).size(), 120);
}

TEST(ModuleInfo, ReadsWhoMadeIt) {
  const std::string made = std::string(kHead) +
                           section(0, std::string("\x09producers\x01\x0cprocessed-by\x01\x05"
                                                  "clang\x06"
                                                  "19.1.4")) +
                           section(0, std::string("\x0ftarget_features\x01+\x07simd128"));
  const ModuleInfo info = info_of(made);
  ASSERT_EQ(info.producers.size(), 1);
  EXPECT_EQ(info.producers[0].field, "processed-by");
  EXPECT_EQ(info.producers[0].name, "clang");
  EXPECT_EQ(info.producers[0].version, "19.1.4");
  EXPECT_THAT(info.target_features, ElementsAre("+simd128"));
  // A broken custom section is none of the module's faults.
  const ModuleInfo broken = info_of(std::string(kHead) + section(0, "\x09producers\x7f"));
  EXPECT_TRUE(broken.producers.empty());
  EXPECT_EQ(broken.sections.front().name, "producers");
}

TEST(ModuleInfo, RefusesWhatIsCutOrBroken) {
  const std::string head(kHead);
  EXPECT_EQ(error_of(head + "\x01\x05\x01"),
            "at byte 0xa: ends in the middle: 5 bytes are wanted, 1 are left");
  EXPECT_THAT(error_of(head + section(1, "\x01\x61")), HasSubstr("0x61 is no form of a type"));
  EXPECT_THAT(error_of(head + section(1, {"\x01\x60\x01\x10\x00", 5})),
              HasSubstr("0x10 is no type of a value"));
  EXPECT_THAT(error_of(head + section(3, "\xff\xff\xff\xff\x0f")),
              HasSubstr("4294967295 elements do not fit here"));
  EXPECT_THAT(error_of(head + section(3, "\xff\xff\xff\xff\xff\x01")),
              HasSubstr("goes on for longer"));
  EXPECT_THAT(error_of(head + section(3, "\xff\xff\xff\xff\x7f")), HasSubstr("over 32 bits"));
  EXPECT_THAT(error_of(head + section(5, {"\0\0", 2})), HasSubstr("1 bytes are left over"));
  EXPECT_THAT(error_of(head + section(5, {"\1\x40", 2})), HasSubstr("no flags of limits"));
  EXPECT_THAT(error_of(head + section(5, {"\0", 1}) + section(5, {"\0", 1})),
              HasSubstr("is a second memory section"));
  EXPECT_THAT(error_of(head + section(6, {"\1\x7f\0\x41\0\x10", 6})),
              HasSubstr("0x10 is no constant instruction"));
  EXPECT_THAT(error_of(head + section(7, {"\1\1a\x09\0", 5})),
              HasSubstr("9 is no kind of an export"));
  EXPECT_THAT(error_of(head + section(2, {"\1\1a\1b\x09", 6})),
              HasSubstr("9 is no kind of an import"));
  EXPECT_THAT(error_of(head + section(11, {"\1\x03", 2})), HasSubstr("no kind of a data segment"));
}

// An index that leads nowhere is for an engine to refuse: it is shown without a type.
TEST(ModuleInfo, ShowsAnIndexThatLeadsNowhere) {
  const ModuleInfo info = info_of(std::string(kHead) + section(7, {"\1\1a\0\x05", 5}));
  EXPECT_EQ(info.type_text(info.exports.front()), "");
}

// Every module that is cut off somewhere is either refused or read; nothing reads past its end.
TEST(ModuleInfo, TakesEveryPrefix) {
  const std::string whole = module_of(R"((module $m (import "a" "b" (func))
      (memory (export "memory") 1) (data (i32.const 0) "x") (global i32 (i32.const 1))
      (func (export "f") (param i32) (result i64) (i64.const 0))))");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    // A copy, so that AddressSanitizer sees a byte too many.
    const std::vector<char> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    static_cast<void>(read_module_info({part.data(), part.size()}));
  }
  EXPECT_TRUE(read_module_info(whole));
}

}  // namespace
}  // namespace seam::wasm
