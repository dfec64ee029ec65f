// The records of calls, newest first.
import {callsOf, functionsPage} from "./api.js";
import {poll} from "./live.js";
import {address, fill, functionOfCall, h, milliseconds, moment, table} from "./view.js";

const EVERY_MS = 3000;
const ON_A_PAGE = 50;
const STATUSES = [["", "all"], ["ok", "ok"], ["error", "errors"], ...["RUNTIME_ERROR", "TIMEOUT", "INVALID_REQUEST", "UNAVAILABLE", "INTERNAL_ERROR"].map((code) => [code, code])];
export const SINCE = [["", "ever"], ["5m", "5 minutes"], ["15m", "15 minutes"], ["1h", "an hour"], ["24h", "a day"], ["7d", "7 days"]];

export function outcome(call) {
  if (call.error) return h("span", {class: "bad"}, call.error.code);
  return h("span", {class: "good"}, call.cached ? "ok, cached" : "ok");
}

export function callsTable(rows, empty, {named = true} = {}) {
  return table("Calls", [
    {title: "Started", cell: (c) => h("a", {href: address("calls", c.call_id)}, moment(c.started_at, {precise: true}))},
    ...(named ? [{title: "Function", cell: functionOfCall}] : []),
    {title: "Version", number: true, cell: (c) => c.version ?? "script"},
    {title: "Outcome", cell: outcome},
    {title: "Status", number: true, cell: (c) => c.status_code},
    {title: "Took", number: true, cell: (c) => milliseconds(c.duration_ms)},
    {title: "Message", wide: true, cell: (c) => (c.error?.message ?? "").slice(0, 200)},
  ], rows, empty);
}

/** A choice whose values are [value, text]; one that the address names and the list does not is added. */
export function choice(label, values, chosen, change) {
  const all = values.some(([value]) => value === chosen) ? values : [...values, [chosen, chosen]];
  return h("label", {}, label, h("select", {"data-key": label, change: (event) => change(event.target.value)},
    all.map(([value, text]) => h("option", {value, selected: value === chosen}, text))));
}

/** A field for a function's name, which offers those there are. */
export function nameField(chosen, change, signal) {
  const names = h("datalist", {id: "names"});
  functionsPage(1, signal).then(({functions}) => fill(names, functions.map((f) => h("option", {value: f.language_title}))), () => {});
  return h("label", {}, "Function", h("input", {list: "names", placeholder: "all", value: chosen, spellcheck: "false", autocomplete: "off",
    change: (event) => change(event.target.value.trim())}), names);
}

export async function callsPage(main, {query}, signal, ready) {
  const page = Math.max(Number(query.page) || 1, 1);
  const asked = {function: query.function, session: query.session, status: query.status, since: query.since, until: query.until, page, per_page: ON_A_PAGE};
  const first = await callsOf(asked, signal);
  const go = (change) => { location.hash = address("calls", "", {...query, page: "", ...change}); };
  const body = h("div");
  fill(main,
    h("h1", {tabindex: -1}, "Calls"),
    h("div", {class: "bar"},
      nameField(query.function ?? "", (value) => go({function: value}), signal),
      choice("Outcome", STATUSES, query.status ?? "", (value) => go({status: value})),
      choice("Since", SINCE, query.since ?? "", (value) => go({since: value})),
      query.session ? h("button", {click: () => go({session: ""}), title: query.session}, `Of session ${query.session.slice(0, 8)} ✕`) : null),
    body);
  let shown = "";
  const draw = (answer) => {
    const text = JSON.stringify(answer);
    // What somebody is copying stays as it is.
    if (text === shown || (shown && body.contains(getSelection().anchorNode) && !getSelection().isCollapsed)) return;
    shown = text;
    fill(body,
      callsTable(answer.calls, "There is no such call. Records are kept for a week, unless the server is told otherwise."),
      h("p", {class: "bar"},
        h("button", {"data-key": "newer", disabled: page <= 1, click: () => go({page: page > 2 ? page - 1 : ""})}, "Newer"),
        h("button", {"data-key": "older", disabled: page * ON_A_PAGE >= answer.total, click: () => go({page: page + 1})}, "Older"),
        h("span", {class: "faint"}, `${answer.total_is_exact ? "" : "more than "}${answer.total.toLocaleString("en")} calls${page > 1 ? `, page ${page}` : ""}`)));
  };
  draw(first);
  ready();
  // An older page does not change under its reader.
  if (page === 1) poll(EVERY_MS, async () => draw(await callsOf(asked, signal)), signal);
  return "Calls";
}
