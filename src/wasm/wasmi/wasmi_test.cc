// What is only wasmi's; what every engine must do is in tests/engines.
#include "wasm/wasmi/wasmi.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "wasm/wasmtime/wasmtime.h"  // wasm_from_text()

namespace seam::wasm {
namespace {

using testing::HasSubstr;

const EngineOptions kOptions{.library_folder = SEAM_ENGINE_LIBRARIES};

Runtime& runtime() {
  static const std::unique_ptr<Runtime> made = *wasmi_adapter().make(kOptions);
  return *made;
}

std::unique_ptr<CompiledModule> compile(std::string_view text) {
  return *runtime().compile(*wasm_from_text(text));
}

TEST(Wasmi, SaysWhatItIs) {
  const EngineAdapter adapter = wasmi_adapter();
  EXPECT_EQ(adapter.name, "wasmi");
  EXPECT_TRUE(adapter.modes.empty());
  EXPECT_EQ(adapter.version(kOptions), "2.0.0");
  EXPECT_FALSE(adapter.capabilities("").generates_code);
  EXPECT_EQ(runtime().name(), "wasmi");
  EXPECT_EQ(runtime().engine_key(), "wasmi-2.0.0");
}

TEST(Wasmi, WithoutItsLibraryItCannotBeFound) {
  for (const char* folder : {"/nowhere", ""}) {
    const auto made = wasmi_adapter().make({.library_folder = folder});
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().code, ErrorCode::kRuntimeNotFound);
    EXPECT_EQ(wasmi_adapter().version({.library_folder = folder}).error().code,
              ErrorCode::kRuntimeNotFound);
  }
}

TEST(Wasmi, ALibraryThatIsAnothersIsRefused) {
  const std::filesystem::path folder =
      std::filesystem::path(testing::TempDir()) / "wasmi_test_engines";
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "libseam_wasmi.so") << "no library";
  const auto made = make_wasmi({.library_folder = folder});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, ErrorCode::kRuntimeNotFound);
  EXPECT_THAT(made.error().message, HasSubstr("./dev setup"));
  std::filesystem::remove_all(folder);
}

TEST(Wasmi, AModuleOfAnotherEngineIsRefused) {
  const auto other = *make_wasmtime({.instances_max = 8});
  const auto module = *other->compile(*wasm_from_text("(module)"));
  EXPECT_EQ(runtime().link(*module, {}).error().code, ErrorCode::kInvalidConfiguration);
  EXPECT_EQ(runtime().instantiate_linked(*module, {}, {}, {}, {}).error().code,
            ErrorCode::kInvalidConfiguration);
}

// Goal: fuel means the same on every machine. Method: the number of instructions of a loop.
TEST(Wasmi, AnInstructionIsOneUnitOfFuel) {
  const auto engine = *make_wasmi({.library_folder = kOptions.library_folder, .fuel = true});
  const auto module = *engine->compile(*wasm_from_text(R"((module
    (func (export "f") (param i32)
      (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))))"));
  const auto context = *engine->link(*module, {});
  const auto burnt = [&](std::int32_t rounds) {
    const auto instance = *context->instantiate({.limits = {.fuel = 1'000'000}}, {});
    EXPECT_TRUE(instance->function("f")->call(Deadline::never(), rounds));
    return 1'000'000 - *instance->fuel_left();
  };
  const std::uint64_t first = burnt(1000);
  EXPECT_EQ(burnt(1000), first);
  EXPECT_EQ(burnt(2000) - first, burnt(3000) - burnt(2000));
  EXPECT_GT(first, 1000U);
  EXPECT_LT(first, 10'000U);
}

// Goal: recursion as deep as real programs go is no stack overflow.
TEST(Wasmi, TenThousandFramesFit) {
  const auto module = compile(R"((module (func $f (export "f") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))))))");
  const auto both = *runtime().instantiate_with_host(*module, {}, {});
  EXPECT_EQ(both.instance->function("f")->call<std::int32_t>(Deadline::never(), 10'000), 10'000);
  EXPECT_EQ(
      both.instance->function("f")->call<std::int32_t>(Deadline::never(), 1'000'000).error().trap,
      TrapKind::kStackOverflow);
}

// Host functions of few, of many, and of very many params go three ways.
TEST(Wasmi, HostFunctionsTakeAnyNumberOfParams) {
  using I32 = std::int32_t;
  HostModule host;
  host.add("env", "none", [](HostCall&) { return std::int64_t{-2}; });
  host.add("env", "four", [](HostCall&, I32 a, std::int64_t b, float c, double d) {
    return static_cast<float>(a + static_cast<double>(b) + c + d);
  });
  host.add("env", "five", [](HostCall&, float a, I32 b, I32 c, double d, I32 e) -> Outcome<I32> {
    return static_cast<I32>(a + d) * 1000 + b * 100 + c * 10 + e;
  });
  host.add("env", "more",
           [](HostCall&, I32 a, I32 b, I32 c, I32 d, I32 e, I32 f, I32 g, I32 h, I32 i, I32 j,
              I32 k, I32 l, I32 m, I32 n, I32 o, I32 p,
              I32 q) { return a + b + c + d + e + f + g + h + i + j + k + l + m + n + o + p - q; });
  const auto module = compile(R"((module
    (import "env" "none" (func $none (result i64)))
    (import "env" "four" (func $four (param i32 i64 f32 f64) (result f32)))
    (import "env" "five" (func $five (param f32 i32 i32 f64 i32) (result i32)))
    (import "env" "more" (func $more (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32
      i32 i32 i32 i32 i32) (result i32)))
    (func (export "none") (result i64) (i64.add (call $none) (i64.const 1)))
    (func (export "four") (param i32) (result f32) (f32.add (f32.const 0.5)
      (call $four (local.get 0) (i64.const -9000000000) (f32.const 1.5) (f64.const -0.25))))
    (func (export "five") (param i32) (result i64) (i64.extend_i32_s
      (call $five (f32.const -7) (local.get 0) (i32.const 2) (f64.const 1) (i32.const 3))))
    (func (export "more") (param i32) (result i64) (i64.extend_i32_u (call $more
      (i32.const 1) (i32.const 2) (i32.const 3) (i32.const 4) (i32.const 5) (i32.const 6)
      (i32.const 7) (i32.const 8) (i32.const 9) (i32.const 10) (i32.const 11) (i32.const 12)
      (i32.const 13) (i32.const 14) (i32.const 15) (i32.const 16) (local.get 0))))))");
  const auto both = *runtime().instantiate_with_host(*module, host, {});
  const auto call = [&]<class R>(R, const char* name, auto... args) {
    return *both.instance->function(name)->template call<R>(Deadline::never(), args...);
  };
  EXPECT_EQ(call(std::int64_t{}, "none"), -1);
  EXPECT_EQ(call(float{}, "four", -5), -9000000004.0F + 0.5F);
  EXPECT_EQ(call(std::int64_t{}, "five", -1), -6000 - 100 + 20 + 3);
  EXPECT_EQ(call(std::int64_t{}, "more", 137), std::int64_t{0xffffffff});
}

// Goal: a call from within a host function runs on another stack than the guest that called it.
// Method: two linked instances, hence one store; each level of the first has values on its stack
// while the second runs, deeper than the stack that a store keeps, and one of its calls traps.
TEST(Wasmi, AHostFunctionCallsALinkedInstance) {
  const auto inner = compile(R"((module (func $f (export "f") (param i32) (result i32)
    (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
      (else (i32.add (i32.const 1) (call $f (i32.sub (local.get 0) (i32.const 1)))))))
    (func (export "trap") unreachable)))");
  const auto outer = compile(R"((module (import "inner" "f" (func $f (param i32) (result i32)))
    (import "env" "again" (func $again (param i32) (result i32)))
    (func $g (export "g") (param i32 i32) (result i32)
      (if (result i32) (i32.eqz (local.get 0)) (then (i32.const 0))
        (else (i32.add (i32.mul (local.get 0) (call $again (local.get 1)))
                       (call $g (i32.sub (local.get 0) (i32.const 1)) (local.get 1))))))))");
  struct State {
    std::unique_ptr<FunctionInstance> f;
    std::unique_ptr<FunctionInstance> trap;
  } state;
  HostModule host;
  host.add("env", "again", [](HostCall& call, std::int32_t depth) -> Outcome<std::int32_t> {
    auto& functions = call.state<State>();
    EXPECT_EQ(functions.trap->call(Deadline::never()).error().trap, TrapKind::kUnreachable);
    return functions.f->call<std::int32_t>(Deadline::never(), depth);
  });
  const auto first = *runtime().instantiate_linked(*inner, {}, {}, {}, {});
  state.f = first->function("f");
  state.trap = first->function("trap");
  const LinkedInstance linked{.name = "inner", .instance = first.get()};
  const auto second =
      *runtime().instantiate_linked(*outer, host, {&linked, 1}, {.state = &state}, {});
  const auto g = second->function("g");
  for (const std::int32_t depth : {1, 3000, 2})
    EXPECT_EQ(g->call<std::int32_t>(Deadline::never(), 3, depth), depth * (3 + 2 + 1));
  EXPECT_EQ(state.f->call<std::int32_t>(Deadline::never(), 5), 5);
}

// Goal: compiled modules give back all they took, the code too. Method: an engine of wasmi's keeps
// what it compiled, so that one engine for all would grow by some 300 KB here with each module.
TEST(Wasmi, CompilingAndDroppingLeavesMemoryFlat) {
  std::string text = "(module (func $f (export \"f\") (result i32) i32.const 7)";
  for (int i = 0; i < 200; ++i) {
    text += "(func (param i32) (result i32)";
    for (int j = 0; j < 30; ++j) text += "(i32.add (local.get 0) (i32.const 1)) drop ";
    text += "local.get 0)";
  }
  const std::string bytes = *wasm_from_text(text + ")");
  const auto resident = [] {
    std::ifstream file("/proc/self/statm");
    std::size_t total = 0;
    std::size_t pages = 0;
    file >> total >> pages;
    return pages * 4096;
  };
  const auto run = [&](int times) {
    for (int i = 0; i < times; ++i) {
      const auto module = *runtime().compile(bytes);
      const auto both = *runtime().instantiate_with_host(*module, {}, {});
      ASSERT_EQ(both.instance->function("f")->call<std::int32_t>(Deadline::never()), 7);
    }
  };
  run(50);
  [[maybe_unused]] const std::size_t before = resident();
  run(300);
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
  EXPECT_LT(resident(), before + (8U << 20U));
#endif
}

// Each breaks the start section in another way: none may become a module by its rewriting.
TEST(Wasmi, BrokenStartSectionsAreRefused) {
  const auto refused = [](std::string_view hex) {
    std::string bytes("\0asm\1\0\0\0", 8);
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    return !runtime().compile(bytes).has_value();
  };
  const std::string types = "010401600000";  // one: () -> ()
  const std::string functions = "03020100";  // one
  const std::string code = "0a040102000b";   // its body
  const std::string start = "080100";
  EXPECT_FALSE(refused(types + functions + start + code));
  EXPECT_TRUE(refused(types + functions + "080101" + code));            // no such function
  EXPECT_TRUE(refused(types + functions + "08020000" + code));          // more than an index
  EXPECT_TRUE(refused(types + functions + "0800" + code));              // nothing
  EXPECT_TRUE(refused(types + functions + "08058080808010" + code));    // an index over 32 bits
  EXPECT_TRUE(refused(types + functions + start + start + code));       // twice
  EXPECT_TRUE(refused(start + types + functions + code));               // too early
  EXPECT_TRUE(refused(types + functions + code + start));               // too late
  EXPECT_TRUE(refused(types + functions + "07020100" + start + code));  // a broken export before it
  EXPECT_TRUE(
      refused(types + functions + "0703000000" + start + code));       // bytes behind the exports
  EXPECT_FALSE(refused(types + functions + "070100" + start + code));  // no exports at all
  EXPECT_FALSE(refused(types + functions +
                       "0705010173"
                       "0000" +
                       start + code));
}

TEST(Wasmi, ManyParamsAndResultsGoTheUntypedWay) {
  // The untyped path: more results than a typed call has.
  const auto module =
      compile(R"((module (func (export "f") (param i32 i32 i32 i32 i32 i32 i32 i32 i32)
    (result i32 i32 i32) local.get 8 local.get 0 local.get 1)))");
  const auto both = *runtime().instantiate_with_host(*module, {}, {});
  Value slots[9];
  for (int i = 0; i < 9; ++i) slots[i] = Value::of(i);
  ASSERT_TRUE(both.instance->function("f")->call(Interruption{}, slots));
  EXPECT_EQ(slots[0].as<std::int32_t>(), 8);
  EXPECT_EQ(slots[2].as<std::int32_t>(), 1);
}

// Goal: lanes are stored where they belong, wherever the address comes from. Method: each way to
// encode the address, with offsets below and above 64 KiB, between bytes that must stay as they
// were.
TEST(Wasmi, LanesAreStoredAtFarOffsets) {
  for (const std::string_view address :
       {"(local.get 0)", "(i32.const 24)", "(i32.add (local.get 0) (i32.const 0))"}) {
    for (const int offset : {9, 65535, 65536, 99999}) {
      for (const int bits : {8, 16, 32, 64}) {
        const std::string text = fmt::format(
            R"((module (memory 2) (func (export "f") (param i32) (result i64 i64 i64) (local v128)
              (local.set 1 (i8x16.add (v128.const i64x2 0x0807060504030201 0x100f0e0d0c0b0a09)
                                      (local.get 1)))
              (v128.store{0}_lane offset={1} 1 {2} (local.get 1))
              (i64.load offset={3} (i32.const 0)) (i64.load offset={4} (i32.const 0))
              (i64.load offset={5} (i32.const 0)))))",
            bits, offset, address, offset + 16, offset + 24, offset + 32);
        const auto module = compile(text);
        const auto both = *runtime().instantiate_with_host(*module, {}, {});
        Value slots[3] = {Value::of(24)};
        ASSERT_TRUE(both.instance->function("f")->call(Interruption{}, slots)) << text;
        const std::uint64_t lane = bits == 8    ? 0x02
                                   : bits == 16 ? 0x0403
                                   : bits == 32 ? 0x08070605
                                                : 0x100f0e0d0c0b0a09;
        EXPECT_EQ(slots[0].as<std::int64_t>(), 0) << text;
        EXPECT_EQ(slots[1].as<std::int64_t>(), static_cast<std::int64_t>(lane)) << text;
        EXPECT_EQ(slots[2].as<std::int64_t>(), 0) << text;
      }
    }
  }
}

TEST(Wasmi, MemoriesOf64BitsAreRefused) {
  EXPECT_FALSE(runtime().compile(*wasm_from_text("(module (memory i64 1))")));
}

}  // namespace
}  // namespace seam::wasm
