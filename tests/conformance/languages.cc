#include <fmt/format.h>

#include <fstream>
#include <sstream>

#include "base/check.h"
#include "conformance/suite.h"
#include "runtimes/node/node_runtime.h"
#include "runtimes/python/python_runtime.h"
#include "runtimes/wasm/wasm_runtime.h"
#include "wasm/wasmtime/wasmtime.h"

namespace seam::conformance {

namespace {

// Two workers more than the tests that run calls side by side need.
constexpr runtimes::PoolLimits kLimits = {.workers_max = 16, .warm_per_loop = 1};

Language nodejs() {
  return {
      .name = "nodejs",
      .create =
          [](const Host& host) {
            return runtimes::create_node_runtime({.harness_folder = host.folder, .limits = kLimits},
                                                 host.spawner, host.loops);
          },
      .forms =
          {
              {"body", "return event.params.a + event.params.b;"},
              {"module", "module.exports = async (event) => event.params.a + event.params.b;"},
              {"callback",
               "module.exports = async (context, callback) => {\n"
               "  callback(null, context.params.a + context.params.b);\n};"},
              {"es_module", "export default async (event) => event.params.a + event.params.b;"},
          },
      .programs =
          {
              {"echo", "return event.params;"},
              {"identity",
               "const made = Math.random().toString(36);\nmodule.exports = () => made;"},
              {"throws",
               "// a comment\nfunction inner() {\n  throw new TypeError('boom');\n}\nreturn "
               "inner();"},
              {"syntax_error", "const a = 1;\nlet b = ;\nreturn a;"},
              {"log", "console.log('x'.repeat(event.params.n)); return true;"},
              {"log_lines",
               "for (let i = 0; i < event.params.n; ++i) {\n"
               "  if (i % 2 === 0) console.log('line ' + i); else console.error('line ' + i);\n}\n"
               "return true;"},
              {"raw_log",
               "const fs = require('fs');\nlet left = event.params.n;\n"
               "const block = Buffer.alloc(65536, 'x');\n"
               "while (left > 0) left -= fs.writeSync(1, block, 0, Math.min(left, 65536));\n"
               "return true;"},
              {"spin", "for (;;) {}"},
              {"allocate",
               "const kept = [];\n"
               "for (let i = 0; i < event.params.mib; ++i) kept.push(Buffer.alloc(1 << 20, 7));\n"
               "return kept.length > 0;"},
              {"exit", "process.exit(3);"},
              {"sleep",
               "await new Promise((done) => setTimeout(done, event.params.ms)); return 'slept';"},
              {"bad_result", "const a = {}; a.a = a; return a;"},
              {"large_result", "return 'r'.repeat(event.params.n);"},
              {"garbage", "require('fs').writeSync(3, Buffer.alloc(200000, 0xa5)); for (;;) {}"},
              {"forged",
               "const frame = Buffer.from('\\x09\\0\\0\\0\\x82\"forged\"', 'latin1');\n"
               "require('fs').writeSync(3, frame); return 'own';"},
          },
      .throws_at = {.line = 3, .column = 9},
      .thrown_type = "TypeError",
      .thrown_trace = ":3",
      .syntax_error_at = {.line = 2, .column = 9},
  };
}

Language python() {
  return {
      .name = "python",
      .create =
          [](const Host& host) {
            return runtimes::create_python_runtime(
                {.harness_folder = host.folder, .limits = kLimits}, host.spawner, host.loops);
          },
      .forms =
          {
              {"statements", "result = params['a'] + params['b']"},
              {"handle", "def handle(params):\n    return params['a'] + params['b']\n"},
              {"handler",
               "def handler(context):\n    p = context['params']\n    return p['a'] + p['b']\n"},
              {"async_handle", "async def handle(params):\n    return params['a'] + params['b']\n"},
              {"async_handler",
               "async def handler(context):\n    p = context['params']\n"
               "    return p['a'] + p['b']\n"},
          },
      .programs =
          {
              {"echo", "def handle(params):\n    return params\n"},
              {"identity",
               "import os\nmade = os.urandom(16).hex()\ndef handle(params):\n    return made\n"},
              {"throws", "# a comment\ndef handle(params):\n    raise TypeError('boom')\n"},
              {"syntax_error", "a = 1\nb = = 2\n"},
              {"log", "def handle(params):\n    print('x' * params['n'])\n    return True\n"},
              {"log_lines",
               "import sys\ndef handle(params):\n    for i in range(params['n']):\n"
               "        print(f'line {i}', file=sys.stderr if i % 2 else sys.stdout)\n"
               "    return True\n"},
              {"raw_log",
               "import os\ndef handle(params):\n    left = params['n']\n    while left > 0:\n"
               "        left -= os.write(1, b'x' * min(left, 65536))\n    return True\n"},
              {"spin", "def handle(params):\n    while True: pass\n"},
              {"allocate",
               "def handle(params):\n    kept = []\n    for i in range(params['mib']):\n"
               "        kept.append(bytearray(b'\\7') * (1 << 20))\n    return len(kept) > 0\n"},
              {"exit", "import os\ndef handle(params):\n    os._exit(3)\n"},
              {"sleep",
               "import asyncio\nasync def handle(params):\n"
               "    await asyncio.sleep(params['ms'] / 1000)\n    return 'slept'\n"},
              {"bad_result", "def handle(params):\n    return {1, 2}\n"},
              {"large_result", "def handle(params):\n    return 'r' * params['n']\n"},
              {"garbage",
               "import os\ndef handle(params):\n    os.write(3, b'\\xa5' * 200000)\n"
               "    while True: pass\n"},
              {"forged",
               "import os\ndef handle(params):\n"
               "    os.write(3, b'\\x09\\0\\0\\0\\x82\"forged\"')\n    return 'own'\n"},
          },
      .throws_at = {.line = 3, .column = 0},
      .thrown_type = "TypeError",
      .thrown_trace = "line 3",
      .syntax_error_at = {.line = 2, .column = 5},
      .keeps_number_text = false,
  };
}

// A module built from wasm/<name>.c.
std::string guest(const std::string& name) {
  std::ifstream file(fmt::format("{}/{}.wasm", SEAM_CONFORMANCE_GUESTS, name), std::ios::binary);
  CHECK(file.is_open());
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

Language wasm() {
  Language language = {
      .name = "wasm",
      .create = [](const Host& host) -> Result<std::unique_ptr<runtimes::Runtime>> {
        wasm::Outcome<std::unique_ptr<wasm::Runtime>> engine = wasm::make_wasmtime({});
        if (!engine) return std::unexpected(engine.error().canonical());
        return runtimes::make_wasm_runtime(*std::move(engine),
                                           {.cache_folder = host.folder + "/wasm-cache"});
      },
      .forms = {{"reactor", guest("add")}, {"command", guest("add_command")}},
      .programs = {{"syntax_error", std::string("\0asm\1\0\0\0 no section", 19)}},
      .lacks =
          {
              {"identity", "each call has a fresh instance, of which nothing is kept"},
              {"garbage", "there is no descriptor 3 and no protocol for a guest to break"},
              {"forged", "there is no descriptor 3 and no protocol for a guest to break"},
          },
      .no_worker = "guests run in the server's own process",
      .thrown_type = "Trap:Unreachable",
      .thrown_message = "an unreachable instruction was executed",
      .thrown_trace = "at inner (function ",
      .keeps_number_text = true,
  };
  for (const char* const name : {"echo", "throws", "log", "log_lines", "raw_log", "spin",
                                 "allocate", "exit", "sleep", "bad_result", "large_result"})
    language.programs[name] = guest(name);
  return language;
}

}  // namespace

std::vector<Language> languages() { return {nodejs(), python(), wasm()}; }

}  // namespace seam::conformance
