// What functions print, as they print it.
import {followLogs, Gone} from "./api.js";
import {logLine} from "./call.js";
import {choice, nameField, SINCE} from "./calls.js";
import {pause, seen} from "./live.js";
import {address, fill, h} from "./view.js";

const SINCE_AT_FIRST = "15m";
const LINES_MAX = 2000;
const WAITING_MAX = 4000;  // lines that have come and are not drawn yet

export async function logsPage(main, {query}, signal, ready) {
  const began = query.since ?? SINCE_AT_FIRST;
  const go = (change) => { location.hash = address("logs", "", {...query, ...change}); };
  const list = h("div", {class: "log tall", tabindex: 0, role: "region", "aria-label": "Log lines"});
  const state = h("p", {class: "faint count", role: "status"});
  const find = h("input", {type: "search", input: () => { for (const each of list.children) hide(each); }});
  const hold = h("button", {type: "button", "aria-pressed": "false", click: () => {
    held = !held;
    hold.setAttribute("aria-pressed", String(held));
    if (!held) draw();
  }}, "Pause");
  let held = false;
  let waiting = [];
  let skipped = 0;
  let frame = 0;
  const told = new Set();  // lines that came, so that each is shown once when one asks anew

  function hide(line) {
    line.hidden = find.value !== "" && !line.textContent.toLowerCase().includes(find.value.toLowerCase());
  }

  function draw() {
    frame = 0;
    if (held || signal.aborted) return;
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    const lines = waiting.slice(-LINES_MAX);
    skipped += waiting.length - lines.length;
    if (skipped > 0) lines.unshift({skipped});
    waiting = [];
    const nodes = lines.map((entry) => (entry.skipped ? h("div", {class: "line faint"}, h("span", {class: "text"}, `${entry.skipped} lines were not shown: they came too fast`)) : logLine(entry, {named: true})));
    skipped = 0;
    nodes.forEach(hide);
    list.append(...nodes);
    while (list.childElementCount > LINES_MAX) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }

  function take(entry) {
    if (entry.call_id) {
      const name = `${entry.call_id} ${entry.line}`;
      if (told.has(name)) return;
      told.add(name);
      if (told.size > 4 * LINES_MAX) told.delete(told.values().next().value);
    }
    waiting.push(entry);
    if (waiting.length > WAITING_MAX) {
      skipped += waiting.length - WAITING_MAX;
      waiting = waiting.slice(-WAITING_MAX);
    }
    frame ||= requestAnimationFrame(draw);
  }

  async function follow() {
    let since = began === "now" ? undefined : began;
    let gap = 1000;
    while (!signal.aborted) {
      await seen(signal);
      const stop = new AbortController();
      const look = () => { if (document.hidden) stop.abort(); };
      const leave = () => stop.abort();
      signal.addEventListener("abort", leave);
      document.addEventListener("visibilitychange", look);
      state.textContent = "Following: lines appear as they are printed.";
      try {
        await followLogs({function: query.function, session: query.session, call: query.call, since}, (entry) => {
          gap = 1000;
          if (entry.time) since = entry.time;
          take(entry);
        }, stop.signal);
      } catch (error) {
        if (signal.aborted) return;
        if (error.status && error.status !== 503) throw error;
        if (error.name !== "AbortError") {
          state.textContent = error instanceof Gone ? "The server does not answer. It is asked again." : error.message;
          gap = Math.max((error.retryAfter ?? 0) * 1000, Math.min(2 * gap, 10_000));
        }
      } finally {
        signal.removeEventListener("abort", leave);
        document.removeEventListener("visibilitychange", look);
        stop.abort();
      }
      // What was printed while nobody followed comes from the records.
      since ??= new Date(Date.now() - gap).toISOString();
      if (!document.hidden) await pause(gap, signal);
    }
  }

  fill(main,
    h("h1", {tabindex: -1}, "Logs"),
    h("div", {class: "bar"},
      nameField(query.function ?? "", (value) => go({function: value}), signal),
      choice("Since", [["now", "now"], ...SINCE.slice(1)], began, (value) => go({since: value})),
      h("label", {}, "Find", find), hold,
      h("button", {type: "button", click: () => { fill(list); waiting = []; skipped = 0; }}, "Clear"),
      query.session ? h("button", {click: () => go({session: ""}), title: query.session}, `Of session ${query.session.slice(0, 8)} ✕`) : null),
    list, state);
  ready();
  follow().catch((error) => { if (!signal.aborted) state.textContent = error.message; });
  return "Logs";
}
