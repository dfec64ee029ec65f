#pragma once
// What the server and a worker process say to each other, over the socket that is the worker's
// descriptor 3. The harnesses in guests/node and guests/python are the other side;
// docs/worker-protocol.md tells it for who writes another.
//
// A frame is   u32 length of what follows, little endian | u8 type | payload.
//
//   server → worker                                                        worker → server
//                                                                          kReady      {}
//   kLoad    u32 size of header | header JSON | source bytes               kLoaded     {} or
//   kFailure kCall    u32 size of context | context JSON | params JSON              kLog        u8
//   stream | text  (0 stdout, 1 stderr)
//                                                                          kResult     JSON text,
//                                                                          the whole result
//                                                                          kFailure    JSON, see
//                                                                          below
//
// kLoad is sent once in a worker's life, its header {"language_title", "entry", "environment": {},
// "log_bytes_max", "result_bytes_max", "memory_bytes_max"}; kCall may follow it at once without
// waiting for kLoaded, and is dropped by a worker that answered kLoad with kFailure. A call ends
// with exactly one kResult or kFailure; until then the server sends no other frame. kLog frames
// belong to the call that runs (before the first: to the load) and precede its end. A log text is
// cut at 64 KiB a frame; over log_bytes_max in one call the harness counts and drops, and says so
// in its last kLog frame of the call with stream 2: a decimal count of dropped bytes.
//
// kFailure is {"kind": "threw" | "result" | "load", "type": "TypeError", "message": "…", "line": 3,
// "column": 7, "stack": "…"}; line and column count from 1 in the user's own source, and are left
// out where unknown. "load": the source cannot be loaded (a syntax error, no handler); "result":
// what the function returned cannot be JSON, or is over result_bytes_max.
//
// A worker that ends its calls itself at their deadline (an engine's process,
// runtimes/wasm/engine_worker.h) gets kTimedCall instead of kCall:
//
//   kTimedCall   u64 deadline | u32 size of id | call's id | u32 size of context | context | params
//
// The deadline is in nanoseconds of CLOCK_MONOTONIC. Its kFailure may also be of the kinds "memory"
// (the guest passed its limit), "deadline" and "host" (the engine could not do its work).
//
// Strict: an unknown type, a frame over its limit, a frame out of turn, a payload that is not what
// it should be: the server kills the worker and the call ends as a RUNTIME_ERROR.

#include <cstddef>
#include <cstdint>

namespace seam::runtimes {

enum class FrameType : std::uint8_t {
  kLoad = 0x01,
  kCall = 0x02,
  kTimedCall = 0x03,
  kReady = 0x80,
  kLoaded = 0x81,
  kResult = 0x82,
  kFailure = 0x83,
  kLog = 0x84,
};

// The most that each frame from a worker may hold, its type byte left out. kResult: the program's
// result_bytes_max.
inline constexpr std::size_t kLogFrameBytesMax = (64U << 10U) + 1;
inline constexpr std::size_t kFailureFrameBytesMax = 256U << 10U;

}  // namespace seam::runtimes
