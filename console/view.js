// Small pieces that every page is made of. Text always goes in as text, never as markup, with nothing in it hidden.
import {KEPT_MS} from "./live.js";
import {indented, visible} from "./text.js";

/** An element: h("td", {class: "number"}, 3). A property that is a function becomes a listener; null and false are left out. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "value") element.value = value;
    else element.setAttribute(name, value === true ? "" : visible(String(value)));
  }
  append(element, children);
  return element;
}

export function append(element, children) {
  for (const child of [children].flat(Infinity)) {
    if (child === null || child === undefined || child === false) continue;
    element.append(child instanceof Node ? child : visible(String(child)));
  }
}

/** Puts other children into an element. What had the focus keeps it, where the new children have its like. */
export function fill(element, ...children) {
  const active = element.contains(document.activeElement) ? document.activeElement : null;
  const key = active?.dataset?.key ?? active?.getAttribute?.("href");
  element.replaceChildren();
  append(element, children);
  if (key) [...element.querySelectorAll("[href], [data-key]")].find((each) => (each.dataset.key ?? each.getAttribute("href")) === key)?.focus();
  return element;
}

/** A table. `columns` are {title, number?, wide?, cell(row)}; `empty` is said where there is no row. */
export function table(label, columns, rows, empty) {
  const kind = (column) => (column.number ? "number" : column.wide ? "wide" : null);
  const cell = (column, row) => h("td", {class: kind(column)}, column.cell(row));
  if (rows.length === 0) return h("p", {class: "empty"}, empty);
  return h("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label}, h("table", {},
    h("thead", {}, h("tr", {}, columns.map((column) => h("th", {scope: "col", class: kind(column)}, column.title)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((column) => cell(column, row)))))));
}

export function figures(pairs) {
  return h("dl", {class: "figures"}, pairs.map(([name, value, hint]) => h("div", {title: hint}, h("dt", {}, name), h("dd", {}, value))));
}

export function facts(pairs) {
  return h("dl", {class: "facts"}, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

export function notice(children, bad = false) {
  return h("div", {class: bad ? "notice bad" : "notice", role: bad ? "alert" : "status"}, children);
}

/** What a function or the server says went wrong; `locate(line, column)` shows the place, where the page has the source. */
export function failure(error, locate) {
  const {stack_trace: stack, line, column, call_id: id, kind, type, errors, more, ...others} = error.details ?? {};
  const rest = Object.keys(others).length === 0 ? null : JSON.stringify(others, null, 2);
  return h("div", {class: "notice bad", role: "alert"},
    h("p", {}, h("strong", {}, error.code ?? "Error"), kind ? ` (${kind})` : null, ": ", type ? `${type}: ` : null, error.message),
    line ? h("p", {}, `At line ${line}${column ? `, column ${column}` : ""}. `, locate && h("button", {type: "button", click: () => locate(line, column)}, "Show the line")) : null,
    Array.isArray(errors) ? h("ul", {}, errors.map((each) => h("li", {}, h("code", {}, `params${each.pointer}`), ` ${each.message}`)), more ? h("li", {}, "and more") : null) : null,
    stack ? h("pre", {tabindex: 0, "aria-label": "Stack"}, stack) : null,
    rest ? h("pre", {tabindex: 0, "aria-label": "Details"}, rest) : null);
}

const SHOWN = 64 << 10;  // characters, of what may be megabytes

/** JSON, or a text, that may be large: its beginning, and buttons to see more and to have all of it. */
export function block(label, text, {plain = false} = {}) {
  if (text === null || text === undefined || text === "") return h("p", {class: "empty"}, "–");
  const shown = h("pre", {tabindex: 0, role: "region", "aria-label": label});
  const more = h("p", {class: "more"});
  let most = SHOWN;
  const draw = () => {
    const view = plain ? {text: text.slice(0, most), whole: text.length <= most} : indented(text, most);
    fill(shown, view.text);
    fill(more, view.whole ? null : [
      h("span", {}, `The beginning of ${bytes(text.length)}. `),
      h("button", {type: "button", "data-key": "more", click: () => { most *= 4; draw(); }}, "Show more"),
    ], text.length < 512 ? null : h("button", {type: "button", "data-key": "save", click: () => save(label, text)}, "Save"),
    text.length < 80 ? null : copyButton("Copy", text));
  };
  draw();
  return h("div", {class: "block"}, shown, more);
}

export function copyButton(title, text) {
  const button = h("button", {type: "button", class: "small", "data-key": `copy ${title}`, click: async () => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = title; }, 1500);
  }}, title);
  return button;
}

function save(label, text) {
  const url = URL.createObjectURL(new Blob([text], {type: "application/octet-stream"}));
  h("a", {href: url, download: `${label.toLowerCase().replace(/[^a-z0-9]+/g, "-")}.json`}).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Asks before something is done that cannot be taken back, or that all callers feel. Resolves to whether to do it. */
export function sure(question, action, more) {
  return new Promise((done) => {
    const dialog = h("dialog", {"aria-labelledby": "question", close: () => { dialog.remove(); done(dialog.returnValue === "yes"); }},
      h("h2", {id: "question"}, question),
      more ? h("p", {}, more) : null,
      h("p", {class: "bar end"},
        h("button", {type: "button", autofocus: true, click: () => dialog.close("no")}, "Cancel"),
        h("button", {type: "button", class: "primary", click: () => dialog.close("yes")}, action)));
    document.body.append(dialog);
    dialog.showModal();
  });
}

const SVG = "http://www.w3.org/2000/svg";
const drawn = (tag, properties, ...children) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(properties)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

/**
 * Lines over the last three minutes, the present at the right. `times` are of performance.now(), oldest first; `lines`:
 * [{kind, values}], a value for each time, null for a gap; `label` says in words what they show. {svg, most}: the top's value.
 */
export function chart(times, lines, {kind = "chart", label, least = 0}) {
  const most = Math.max(least, 1e-9, ...lines.flatMap(({values}) => values.filter((value) => value !== null && value !== undefined)));
  const svg = drawn("svg", {class: kind, viewBox: "0 0 100 100", preserveAspectRatio: "none", role: "img", "aria-label": label});
  for (const {kind: which, values} of lines) {
    let path = "";
    let area = "";
    let last = null;
    let gap = true;
    values.forEach((value, i) => {
      if (value === null || value === undefined) {
        gap = true;
        return;
      }
      const x = 99 - (98 * (times[times.length - 1] - times[i])) / KEPT_MS;
      const y = 96 - (90 * value) / most;
      if (gap && last !== null) area += `L${last} 100Z`;
      area += gap ? `M${x.toFixed(2)} 100L${x.toFixed(2)} ${y.toFixed(2)}` : `L${x.toFixed(2)} ${y.toFixed(2)}`;
      last = x.toFixed(2);
      path += gap ? `M${x.toFixed(2)} ${y.toFixed(2)}h.01` : `L${x.toFixed(2)} ${y.toFixed(2)}`;  // alone, it is a point
      gap = false;
    });
    if (which === "main" && last !== null) svg.append(drawn("path", {class: "area", d: `${area}L${last} 100Z`}));
    svg.append(drawn("path", {class: which, d: path}));
  }
  return {svg, most};
}

/** In the place of a chart of the same height: why there is nothing to draw. */
export function noChart(text) {
  return h("p", {class: "chart"}, text);
}

export function milliseconds(value) {
  if (value === null || value === undefined || Number.isNaN(value)) return "–";
  if (value >= 10000) return `${(value / 1000).toFixed(1)} s`;
  if (value < 0.005) return "0 ms";
  return value >= 100 ? `${value.toFixed(0)} ms` : value >= 1 ? `${value.toFixed(1)} ms` : `${value.toFixed(2)} ms`;
}

export function rate(value) {
  if (value === null || value === undefined) return "–";
  return value >= 10 ? value.toFixed(0) : value === 0 ? "0" : value.toFixed(value >= 0.1 ? 1 : 2);
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

export function duration(seconds) {
  const [days, hours, minutes] = [Math.floor(seconds / 86400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60];
  return days > 0 ? `${days} d ${hours} h` : hours > 0 ? `${hours} h ${minutes} min` : minutes > 0 ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

const two = (number) => String(number).padStart(2, "0");
const clock = (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;

/** A moment by the clock of this browser, of one width; the exact one on hover. */
export function moment(text, {precise = false} = {}) {
  if (!text) return "–";
  const date = new Date(text);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const today = date.toDateString() === new Date().toDateString();
  const time = clock(date) + (precise ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "");
  return h("time", {datetime: text, title: text}, today ? time : `${day} ${time}`);
}

/** An address of a page: address("functions", "nodejs-sum", {from: id}). Empty values are left out. */
export function address(page, of, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return `#/${page}${of ? `/${encodeURIComponent(of)}` : ""}${kept.length > 0 ? `?${new URLSearchParams(kept)}` : ""}`;
}

export function functionLink(title) {
  return h("a", {href: address("functions", title)}, title);
}

/** The function of a call, as a link; of a session's own script only the name, for there need not be a function. */
export function functionOfCall(call) {
  return call.version === null ? call.language_title : functionLink(call.language_title);
}
