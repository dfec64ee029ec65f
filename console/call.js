// One call: where its time went, what it was called with, what it answered, what it printed.
import {callOf} from "./api.js";
import {outcome} from "./calls.js";
import {address, block, bytes, copyButton, facts, fill, functionOfCall, h, milliseconds, moment} from "./view.js";

const LINES_SHOWN = 1000;
const CHARACTERS_SHOWN = 2000;  // of one line
const STAGES = {queue: "waiting for a worker", start: "starting it", run: "in the function", rest: "the server's part"};

/** A bar of the stages of a call, and what each took. */
export function stagesOf(record) {
  if (record.stages.length === 0) return null;
  const sum = record.stages.reduce((all, {ms}) => all + ms, 0);
  const whole = Math.max(record.duration_ms, sum, 1e-6);
  const parts = [...record.stages, {name: "rest", ms: Math.max(record.duration_ms - sum, 0)}];
  const width = ({name, ms}) => {
    const part = h("span", {class: name});
    part.style.flexGrow = String(Math.max(ms / whole, 0.0001));
    return part;
  };
  return h("div", {class: "stages"},
    h("div", {class: "strip", role: "img", "aria-label": parts.map(({name, ms}) => `${STAGES[name] ?? name} ${milliseconds(ms)}`).join(", ")}, parts.map(width)),
    h("dl", {}, parts.map(({name, ms}) => h("div", {}, h("dt", {}, h("i", {class: `key ${name}`}), STAGES[name] ?? name), h("dd", {}, milliseconds(ms)))),
      h("div", {}, h("dt", {}, "in all"), h("dd", {}, milliseconds(record.duration_ms)))),
    record.runtime_metrics?.cold_start ? h("p", {class: "hint"}, "A cold start: the worker or module had to be made ready first.") : null);
}

/** A line of a log; `named`: with its function and call. What is no line (so many dropped) is told as such. */
export function logLine(entry, {named = false} = {}) {
  if (entry.text === undefined) {
    return h("div", {class: "line faint"}, h("span", {class: "text"}, entry.dropped ? `${entry.dropped} lines of ${entry.function} did not come through: they came faster than they could be shown`
      : entry.omitted_calls ? `${entry.omitted_calls} calls before these are not shown`
        : entry.omitted_bytes ? [`A log of ${bytes(entry.omitted_bytes)} of ${entry.function} is in `, h("a", {href: address("calls", entry.call_id)}, "the record of its call")] : JSON.stringify(entry)));
  }
  const text = h("bdi", {class: "text"}, entry.text.slice(0, CHARACTERS_SHOWN));
  if (entry.text.length > CHARACTERS_SHOWN) {
    text.append(" ", h("button", {type: "button", class: "small", click: () => fill(text, entry.text)}, `${(entry.text.length - CHARACTERS_SHOWN).toLocaleString("en")} characters more`));
  }
  return h("div", {class: `line ${entry.stream === "stderr" ? "stderr" : ""}`},
    named ? h("a", {href: address("calls", entry.call_id)}, moment(entry.time, {precise: true})) : moment(entry.time, {precise: true}),
    h("span", {class: "stream"}, entry.stream === "stderr" ? "err" : ""),
    named ? h("span", {class: "of", title: entry.function}, entry.function) : null, text);
}

/** All lines of one call; the first thousand, and a button for more. */
export function logList(lines) {
  const list = h("div", {class: "log", tabindex: 0, role: "region", "aria-label": "Log"});
  let shown = 0;
  const more = () => {
    list.querySelector(":scope > button")?.remove();
    const next = lines.slice(shown, shown + LINES_SHOWN);
    shown += next.length;
    list.append(...next.map((line) => logLine(line)));
    if (shown < lines.length) list.append(h("button", {type: "button", click: more}, `Show more of ${lines.length.toLocaleString("en")} lines`));
  };
  more();
  return list;
}

export async function callPage(main, {of: id}, signal, ready) {
  const record = await callOf(id, signal);
  const {runtime_metrics: measured} = record;
  const kept = (text) => (new TextEncoder().encode(text).length >= 4000 ? h("p", {class: "hint"}, "Only the first 4 KiB are kept.") : null);
  fill(main,
    h("h1", {tabindex: -1}, "Call of ", functionOfCall(record)),
    h("p", {class: "lead"}, outcome(record), `, ${record.status_code}, in ${milliseconds(record.duration_ms)}, started `, moment(record.started_at, {precise: true})),
    stagesOf(record) ?? h("p", {class: "empty"}, record.cached ? "Nothing ran: a kept result, or the run of an equal call, answered." : "It did not reach a worker."),
    record.error ? h("section", {}, h("h2", {}, "Error"), h("div", {class: "notice bad"},
      h("p", {}, h("strong", {}, record.error.code), ": ", record.error.message),
      record.error.stack_trace ? h("pre", {tabindex: 0, "aria-label": "Stack"}, record.error.stack_trace) : null)) : null,
    h("div", {class: "columns even"},
      h("section", {}, h("h2", {}, "Params"), block("Params", record.request_payload), kept(record.request_payload)),
      h("section", {}, h("h2", {}, "Result"), block("Result", record.response_payload), kept(record.response_payload))),
    h("section", {}, h("h2", {}, "Log"), record.logs.length > 0 ? logList(record.logs) : h("p", {class: "empty"}, "It printed nothing."),
      measured?.log_bytes_dropped > 0 ? h("p", {class: "hint"}, `${bytes(measured.log_bytes_dropped)} more were printed and not kept: the function's log_bytes_max.`) : null),
    h("section", {}, h("h2", {}, "More"), facts([
      ["Call", [h("code", {}, record.call_id), " ", copyButton("Copy", record.call_id)]],
      ["Function", functionOfCall(record)],
      ["Version", record.version ?? "a session's own script"],
      ["Session", record.session && h("a", {href: address("calls", "", {session: record.session})}, h("code", {}, record.session))],
      ["User", record.user_id], ["Client", record.client_ip],
      ["Engine", measured?.engine],
      ["Memory", measured?.memory_bytes > 0 ? bytes(measured.memory_bytes) : null],
      ...Object.entries(record.request_headers).map(([name, value]) => [name, value])]),
    record.version === null ? null : h("p", {}, h("a", {href: address("functions", record.language_title, {from: record.call_id})}, "Call it again with these params"))));
  ready();
  return `Call of ${record.language_title}`;
}
