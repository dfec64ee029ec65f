// All functions, with how often they are called and how fast they answer.
import {functionsPage as ask} from "./api.js";
import {poll, ratesOf} from "./live.js";
import {address, chart, fill, functionLink, h, milliseconds, moment, rate} from "./view.js";

const ON_A_PAGE = 50;
const LIST_EVERY_MS = 15_000;
const ORDERS = {
  name: {title: "name", before: (a, b) => a.language_title.localeCompare(b.language_title, "en")},
  rate: {title: "calls/s", before: (a, b, of) => (of(b)?.rate ?? 0) - (of(a)?.rate ?? 0)},
  errors: {title: "errors/s", before: (a, b, of) => (of(b)?.errors ?? 0) - (of(a)?.errors ?? 0)},
  changed: {title: "last change", before: (a, b) => b.updated_at.localeCompare(a.updated_at)},
};

async function list(signal) {
  const all = [];
  for (let page = 1; ; page += 1) {
    const answer = await ask(page, signal);
    all.push(...answer.functions);
    if (all.length >= answer.total || answer.functions.length === 0) return all;
  }
}

export async function functionsPage(main, {query}, signal, ready) {
  let all = await list(signal);
  const rates = ratesOf("");
  let order = Object.hasOwn(ORDERS, query.sort) ? query.sort : "name";
  let page = Math.max(Number(query.page) || 1, 1);
  let shown = [];
  const cells = new Map();  // of the rows that are shown: name -> what changes in them

  const filter = h("input", {type: "search", value: query.q ?? "", input: () => { page = 1; keep(); draw(); }});
  const sort = h("select", {change: () => { order = sort.value; page = 1; keep(); draw(); }},
    Object.entries(ORDERS).map(([key, {title}]) => h("option", {value: key, selected: key === order}, title)));
  const count = h("p", {class: "faint count", role: "status"});
  const body = h("div");
  const keep = () => history.replaceState(history.state, "",
    address("functions", "", {q: filter.value, sort: order === "name" ? "" : order, page: page > 1 ? page : ""}));
  const turn = (by) => { page += by; keep(); draw(); scrollTo(0, 0); };

  function row(f) {
    const changing = {rate: h("td", {class: "number"}), spark: h("td", {class: "spark"}), errors: h("td", {class: "number"}),
      p50: h("td", {class: "number"}), p99: h("td", {class: "number"})};
    cells.set(f.language_title, changing);
    return h("tr", {},
      h("th", {scope: "row"}, functionLink(f.language_title)),
      h("td", {class: "number"}, f.version),
      changing.rate, changing.spark, changing.errors, changing.p50, changing.p99,
      h("td", {}, moment(f.updated_at)),
      h("td", {class: "wide faint"}, f.description));
  }

  function draw() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.filter((f) => {
      const text = `${f.language_title} ${f.description} ${f.tags.join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    found.sort((a, b) => ORDERS[order].before(a, b, (f) => rates.of(f.language_title)) || ORDERS.name.before(a, b));
    const pages = Math.max(Math.ceil(found.length / ON_A_PAGE), 1);
    page = Math.min(page, pages);
    shown = found.slice((page - 1) * ON_A_PAGE, page * ON_A_PAGE);
    cells.clear();
    fill(count, words.length === 0 ? `${all.length.toLocaleString("en")} in all` : `${found.length.toLocaleString("en")} of ${all.length.toLocaleString("en")}`);
    if (shown.length === 0) {
      fill(body, all.length === 0
        ? h("div", {class: "empty"}, h("p", {}, "There is no function yet."),
          h("p", {}, h("a", {href: "#/try"}, "Try a script"), " and keep it under a name, or put one: ", h("code", {}, "seam functions put python-greet greet.py")))
        : h("p", {class: "empty"}, "No function has these words in its name, description or tags."));
      return;
    }
    fill(body, h("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": "Functions"}, h("table", {},
      h("thead", {}, h("tr", {},
        [["Function"], ["Version", "number"], ["Calls/s", "number"], ["3 minutes", "spark"], ["Errors/s", "number"], ["p50", "number"],
          ["p99", "number"], ["Changed"], ["Description", "wide"]].map(([title, kind]) => h("th", {scope: "col", class: kind}, title)))),
      h("tbody", {}, shown.map(row)))),
    pages === 1 ? null : h("p", {class: "bar"},
      h("button", {"data-key": "back", disabled: page === 1, click: () => turn(-1)}, "Previous"),
      h("button", {"data-key": "on", disabled: page === pages, click: () => turn(1)}, "Next"),
      h("span", {class: "faint"}, `Page ${page} of ${pages}`)));
    measure();
  }

  function measure() {
    for (const [name, cell] of cells) {
      const now = rates.of(name);
      fill(cell.rate, rate(now?.rate));
      fill(cell.errors, now?.errors ? h("span", {class: "bad"}, rate(now.errors)) : rate(now?.errors));
      fill(cell.p50, milliseconds(now?.p50));
      fill(cell.p99, milliseconds(now?.p99));
      const course = rates.course(name);
      const values = course.map((each) => each.rate);
      fill(cell.spark, values.some(Boolean) ? chart(course.map((each) => each.at), [{kind: "main", values}], {kind: "spark", label: `calls a second of ${name}, now ${rate(now?.rate)}`}).svg : null);
    }
  }

  fill(main,
    h("h1", {tabindex: -1}, "Functions"),
    h("div", {class: "bar"}, h("label", {}, "Find", filter), h("label", {}, "By", sort), count),
    body,
    h("p", {class: "hint"}, "Calls and errors a second over the last 10 seconds, latencies over the last minute, as far as this page was looked at."));
  draw();
  ready();

  rates.watch({functions: () => shown.map((f) => f.language_title), signal, changed: () => {
    // Rows change places only when nobody is about to press one of them.
    if (order !== "name" && order !== "changed" && !body.matches(":hover, :focus-within")) draw();
    else measure();
  }});
  poll(LIST_EVERY_MS, async () => {
    const next = await list(signal);
    if (JSON.stringify(next) === JSON.stringify(all)) return;
    all = next;
    draw();
  }, signal);
  return "Functions";
}
