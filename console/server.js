// The server: its parts, its workers, and what isolates them.
import {health, metrics} from "./api.js";
import {poll} from "./live.js";
import {bytes, duration, figures, fill, h, table} from "./view.js";

const EVERY_MS = 3000;
const FAMILIES = ["seam_build_info", "seam_functions", "seam_sessions_open", "seam_records_waiting", "seam_records_dropped_total", "seam_workers",
  "seam_workers_started_total", "seam_worker_start_failures_total", "seam_calls_running", "seam_calls_waiting", "seam_http_connections_open",
  "process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds", "process_start_time_seconds"];
const WORKER_STATES = {busy: "running calls", idle: "loaded, waiting for a call", warm: "ready, without a function yet", changing: "starting or ending"};

export async function serverPage(main, _, signal, ready) {
  const body = {head: h("div"), workers: h("div"), parts: h("div"), isolation: h("div")};
  let before = null;
  let layers = "";
  const look = async () => {
    const [state, samples] = await Promise.all([health(signal), metrics(FAMILIES, undefined, signal)]);
    const value = (name, labels = {}) => samples.find((each) => each.name === name && Object.entries(labels).every(([key, text]) => each.labels[key] === text))?.value;
    const now = {at: performance.now(), cpu: value("process_cpu_seconds_total"), started: value("process_start_time_seconds")};
    const cores = before && before.started === now.started ? (1000 * (now.cpu - before.cpu)) / (now.at - before.at) : null;
    before = now;
    const build = samples.find(({name}) => name === "seam_build_info")?.labels;
    fill(body.head, figures([
      ["Version", build?.version ?? state.version, build ? `commit ${build.commit}` : null],
      ["Up for", now.started ? duration(Date.now() / 1000 - now.started) : "–"],
      ["Processor", cores === null ? "–" : `${(100 * cores).toFixed(0)} %`, "of one core, the server's own threads"],
      ["Memory", bytes(value("process_resident_memory_bytes")), "of the server itself; workers are processes of their own"],
      ["Connections", value("seam_http_connections_open")],
      ["Functions", value("seam_functions")], ["Sessions", value("seam_sessions_open")],
      ["Records waiting", value("seam_records_waiting"), "records of calls that are not in the database yet"],
      ["Descriptors", value("process_open_fds"), `of ${value("process_max_fds")}`],
      ...(value("seam_records_dropped_total") > 0 ? [["Records lost", h("span", {class: "bad"}, value("seam_records_dropped_total"))]] : [])]));
    const runtimes = [...new Set(samples.filter(({name}) => name === "seam_workers").map(({labels}) => labels.runtime))];
    const failed = (runtime) => value("seam_worker_start_failures_total", {runtime});
    fill(body.workers, table("Workers", [
      {title: "Runtime", cell: (runtime) => runtime},
      ...Object.entries(WORKER_STATES).map(([which, meaning]) => ({title: h("span", {title: meaning}, which[0].toUpperCase() + which.slice(1)), number: true,
        cell: (runtime) => count(value("seam_workers", {runtime, state: which}))})),
      {title: "Calls running", number: true, cell: (runtime) => count(value("seam_calls_running", {runtime}))},
      {title: "Calls waiting", number: true, cell: (runtime) => count(value("seam_calls_waiting", {runtime}))},
      {title: "Started ever", number: true, cell: (runtime) => count(value("seam_workers_started_total", {runtime}))},
      {title: "Failed to start", number: true, cell: (runtime) => (failed(runtime) > 0 ? h("span", {class: "bad"}, failed(runtime)) : count(failed(runtime)))},
    ], runtimes, "No runtime has workers."));
    const {runtimes: up, ...parts} = state.components;
    fill(body.parts, table("Parts", [
      {title: "Part", cell: ([name]) => name},
      {title: "State", cell: ([, now]) => h("span", {class: now === "up" ? "good" : now === "down" ? "bad" : "faint"}, now)},
      {title: "Detail", wide: true, cell: ([name]) => state.details.runtimes[name] ?? (name === "store" ? state.details.store : "")},
    ], [...Object.entries(parts), ...Object.entries(up)], ""));
    const text = JSON.stringify(state.details.isolation);
    if (text !== layers) drawIsolation(body.isolation, state.details.isolation);
    layers = text;
  };
  await look();
  fill(main, h("h1", {tabindex: -1}, "Server"), body.head,
    h("section", {}, h("h2", {}, "Workers"), body.workers, h("p", {class: "hint"}, "WebAssembly runs in the server itself, where its calls have no worker, or in processes of its engine, which are counted here.")),
    h("section", {}, h("h2", {}, "Isolation of workers"), body.isolation),
    h("section", {}, h("h2", {}, "Parts"), body.parts, h("p", {class: "hint"}, "What is disabled is not in this build, or was never set up: nothing is broken.")));
  ready();
  poll(EVERY_MS, look, signal);
  return "Server";
}

const count = (value) => (value ? String(value) : h("span", {class: "faint"}, "0"));

function drawIsolation(view, isolation) {
  const layers = isolation?.layers ?? [];
  const off = layers.filter((layer) => !layer.in_force);
  fill(view,
    h("p", {}, layers.length === 0 ? h("strong", {class: "bad"}, "Off: functions can do what this server can.")
      : off.length === 0 ? h("strong", {class: "good"}, `All ${layers.length} layers are in force.`)
        : h("strong", {class: off.some((layer) => layer.essential) ? "bad" : "warn"}, `${layers.length - off.length} of ${layers.length} layers are in force.`)),
    layers.length === 0 ? null : table("Layers of isolation", [
      {title: "Layer", cell: (layer) => layer.name},
      {title: "In force", cell: (layer) => (layer.in_force ? h("span", {class: "good"}, "yes") : h("strong", {class: layer.essential ? "bad" : "warn"}, "no"))},
      {title: "How", wide: true, cell: (layer) => layer.detail},
      {title: "Without it", wide: true, cell: (layer) => h("span", {class: layer.in_force ? "faint" : null}, layer.meaning)},
    ], layers, ""));
}
