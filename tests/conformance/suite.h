#pragma once
// The one suite that every runtime passes (conformance_test.cc). A runtime brings how it is made
// and a few programs in its own language; a program that a language cannot have stands in `lacks`
// with the reason, and the tests that need it are skipped.
//
//   Language nodejs() { return {.name = "nodejs", .create = …, .programs = {{"echo", "…"}, …}}; }
//
// A new runtime: write its function, add it to languages() in languages.cc.

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/event_loop.h"
#include "process/spawner.h"
#include "runtimes/runtime.h"

namespace seam::conformance {

// What a runtime may be made of. All of it outlives the runtime.
struct Host {
  process::Spawner& spawner;
  std::span<EventLoop* const> loops;
  std::string folder;  // to write in
};

// What a failing program must say of the place of its failure.
struct Place {
  int line = 0;    // 0: the language does not know
  int column = 0;  // 0: it does not know, or only some of its versions do
};

struct Language {
  std::string name;
  std::function<Result<std::unique_ptr<runtimes::Runtime>>(const Host&)> create;

  // Each adds params.a and params.b: every form that the contract lists, by a name.
  std::map<std::string, std::string> forms = {};

  // echo          returns its params
  // identity      returns a text that its process made up when it loaded, the same while it lives
  // throws        throws an error of type `thrown_type` that says `thrown_message` at `throws_at`
  // syntax_error  cannot be loaded, wrong at `syntax_error_at`
  // log           prints params.n times "x" and a line end, in one go, to stdout, and returns true
  // log_lines     prints params.n lines "line <i>", the even ones to stdout, the odd to stderr
  // raw_log       writes params.n bytes "x" to descriptor 1, and returns true
  // spin          never ends
  // allocate      takes params.mib MiB of memory, touches them, and returns true
  // exit          ends its process, or itself where it has none, with exit code 3
  // sleep         returns "slept" after params.ms milliseconds, without holding the processor
  // bad_result    returns what cannot be JSON
  // large_result  returns a text of params.n characters "r"
  // garbage       writes 200,000 bytes that are no frames to descriptor 3, then never ends
  // forged        writes one whole result frame with `"forged"` to descriptor 3, then returns "own"
  std::map<std::string, std::string> programs = {};
  // The programs above that it cannot have, each with the reason.
  std::map<std::string, std::string> lacks = {};
  // Whether a source that cannot be loaded is refused as the request is (kInvalidArgument, with
  // details): it is compiled before it is called.
  bool compiled = false;
  // Why calls run in no process of their own; empty where they do.
  std::string no_worker = {};
  // A function that ends itself ends no process: the worker is the engine's, not the function's.
  bool ends_alone = false;

  Place throws_at = {};
  std::string thrown_type = {};
  std::string thrown_message = "boom";
  std::string thrown_trace = {};  // what the stack trace must hold
  Place syntax_error_at = {};
  bool keeps_number_text = false;  // 3.0 and 2^64 come back as they were sent
};

[[nodiscard]] std::vector<Language> languages();

}  // namespace seam::conformance
