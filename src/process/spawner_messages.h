#pragma once
// What the server asks of the spawner and what comes back, as bytes (process/wire.h) in one message
// each. Not for other modules.
//
//   request   u64 number | u32 kind | what the kind says
//   reply     u64 number | u32 error code, 0: none | text message | what the kind says

#include <cstdint>
#include <string>
#include <vector>

#include "process/isolation.h"
#include "process/spawner.h"
#include "process/wire.h"

namespace seam::process {

enum class RequestKind : std::uint32_t {
  kSpawn = 1,       // spec → u64 id, u32 pid; descriptors: output, pidfd, socket
  kStartZygote,     // spec → the same without socket
  kFork,            // u64 zygote, binds → as kSpawn
  kSetMemoryLimit,  // u64 worker, u64 bytes → nothing
  kReap,            // u64 worker → u32 status, u32 memory exceeded
  kMemoryBytes,     // u64 worker → u64 bytes
};

inline void write_binds(WireWriter& out, const std::vector<ReadOnlyBind>& binds) {
  out.u32(static_cast<std::uint32_t>(binds.size()));
  for (const ReadOnlyBind& bind : binds) {
    out.text(bind.host_path);
    out.text(bind.sandbox_path);
  }
}

inline std::vector<ReadOnlyBind> read_binds(WireReader& in) {
  std::vector<ReadOnlyBind> binds;
  const std::uint32_t count = in.u32();
  for (std::uint32_t index = 0; index < count && !in.failed(); ++index) {
    std::string host_path = in.text();
    std::string sandbox_path = in.text();
    binds.push_back({std::move(host_path), std::move(sandbox_path)});
  }
  return binds;
}

inline void write_spec(WireWriter& out, const WorkerSpec& spec) {
  const auto texts = [&out](const std::vector<std::string>& all) {
    out.u32(static_cast<std::uint32_t>(all.size()));
    for (const std::string& each : all) out.text(each);
  };
  out.text(spec.name);
  texts(spec.argv);
  texts(spec.environment);
  write_binds(out, spec.binds);
  write_binds(out, spec.zygote_binds);
  out.u64(spec.limits.memory_bytes_max);
  out.u32(spec.limits.processes_max);
  out.u64(spec.limits.disk_bytes_max);
  out.u32(spec.limits.open_files_max);
  out.u32(spec.limits.cpu_weight);
  out.u32(spec.starts_programs ? 1 : 0);
}

inline WorkerSpec read_spec(WireReader& in) {
  const auto texts = [&in] {
    std::vector<std::string> all;
    const std::uint32_t count = in.u32();
    for (std::uint32_t index = 0; index < count && !in.failed(); ++index) all.push_back(in.text());
    return all;
  };
  WorkerSpec spec;
  spec.name = in.text();
  spec.argv = texts();
  spec.environment = texts();
  spec.binds = read_binds(in);
  spec.zygote_binds = read_binds(in);
  spec.limits.memory_bytes_max = in.u64();
  spec.limits.processes_max = in.u32();
  spec.limits.disk_bytes_max = in.u64();
  spec.limits.open_files_max = in.u32();
  spec.limits.cpu_weight = in.u32();
  spec.starts_programs = in.u32() != 0;
  return spec;
}

inline void write_report(WireWriter& out, const IsolationReport& report) {
  out.u32(report.as_root ? 1 : 0);
  out.text(report.cgroup_version);
  out.u32(static_cast<std::uint32_t>(report.layers.size()));
  for (const IsolationLayer& layer : report.layers) {
    out.text(layer.name);
    out.u32((layer.in_force ? 1U : 0U) | (layer.essential ? 2U : 0U));
    out.text(layer.detail);
    out.text(layer.meaning);
  }
}

inline IsolationReport read_report(WireReader& in) {
  IsolationReport report;
  report.as_root = in.u32() != 0;
  report.cgroup_version = in.text();
  const std::uint32_t layers = in.u32();
  for (std::uint32_t index = 0; index < layers && !in.failed(); ++index) {
    IsolationLayer layer;
    layer.name = in.text();
    const std::uint32_t flags = in.u32();
    layer.in_force = (flags & 1U) != 0;
    layer.essential = (flags & 2U) != 0;
    layer.detail = in.text();
    layer.meaning = in.text();
    report.layers.push_back(std::move(layer));
  }
  return report;
}

}  // namespace seam::process
