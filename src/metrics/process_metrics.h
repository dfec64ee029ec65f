#pragma once
// What Prometheus clients of every language tell of their process.
//
//   write_process_metrics(writer);

#include "metrics/text_writer.h"

namespace seam::metrics {

// process_cpu_seconds_total, process_resident_memory_bytes, process_virtual_memory_bytes,
// process_open_fds, process_max_fds, process_start_time_seconds, process_threads; of this process
// alone, not of its workers. Reads /proc, so not on a thread that answers calls; what cannot be
// read is left out.
void write_process_metrics(TextWriter& writer);

}  // namespace seam::metrics
