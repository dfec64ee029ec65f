// One function: how it does, its versions and route, a way to call it, its examples and schema, its last calls.
import {callsOf, callOf, deleteFunction, functionOf, invoke, routeTo, versionsOf} from "./api.js";
import {callsTable} from "./calls.js";
import {checked, jsonEditor} from "./editor.js";
import {poll, ratesOf} from "./live.js";
import {Runner} from "./runner.js";
import {address, block, bytes, chart, failure, figures, fill, h, milliseconds, moment, noChart, rate, sure, table} from "./view.js";

const CALLS_EVERY_MS = 5000;

export async function functionPage(main, {of: title, query}, signal, ready) {
  const [found, listed, recent, before] = await Promise.all([
    functionOf(title, signal), versionsOf(title, signal), callsOf({function: title, per_page: 10}, signal),
    query.from ? callOf(query.from, signal).catch(() => null) : null]);
  const live = h("div", {class: "live"});
  const routes = h("div");
  const said = h("div");
  const last = h("div");

  async function again() {
    const [now, versions] = await Promise.all([functionOf(title, signal), versionsOf(title, signal)]);
    drawRoutes(now, versions.versions);
  }

  async function change(version) {
    if (!await sure(`Send the calls of ${title} to version ${version}?`, `Send to version ${version}`,
      "All callers get it from their next call on. Calls in flight end where they began.")) return;
    try {
      await routeTo(title, version);
      fill(said);
      await again();
    } catch (error) {
      fill(said, failure(error));
    }
  }

  function drawRoutes(now, versions) {
    const routed = (version) => now.route.find((each) => each.implementation_id === version.id);
    const weights = now.route.length > 1;
    fill(routes, table("Versions", [
      {title: "Version", number: true, cell: (v) => v.version},
      {title: "Route", cell: (v) => {
        const route = routed(v);
        if (route) return h("strong", {class: "good"}, route.shadow ? "in the shadow" : weights ? `weight ${route.weight}` : "all calls");
        return h("button", {class: "small", "data-key": `route ${v.version}`, click: () => change(v.version), "aria-label": `Send calls to version ${v.version}`}, "Send calls here");
      }},
      {title: "Runtime", cell: (v) => v.runtime + (v.engine ? `, ${v.engine}` : "")},
      {title: "Put", cell: (v) => moment(v.created_at)},
      {title: "Size", number: true, cell: (v) => bytes(v.content_bytes)},
      {title: "Content", cell: (v) => h("code", {title: v.hash}, v.hash.slice(0, 12))},
      {title: "Memory", number: true, cell: (v) => bytes(v.options.limits.memory_bytes_max)},
      {title: "At once", number: true, cell: (v) => v.options.concurrency},
      {title: "Options", cell: (v) => [v.options.entry && `entry ${v.options.entry}`, v.options.cacheable && "cacheable", v.options.idempotent && "idempotent",
        v.options.fallback && `fallback ${v.options.fallback}`, v.options.isolation && `isolation ${v.options.isolation}`,
        v.options.limits.timeout_ms && `timeout ${v.options.limits.timeout_ms} ms`,
        Object.keys(v.options.environment).length > 0 && `environment ${Object.keys(v.options.environment).join(" ")}`].filter(Boolean).join(", ") || "–"},
    ], versions, "No version."));
    const chosen = which.value;
    fill(which, h("option", {value: ""}, "as routed"), versions.map((v) => h("option", {value: v.version}, `version ${v.version}`)));
    which.value = chosen;
  }

  // What a caller would try first: the params of the call one came from, of the first example, or none.
  const example = found.examples?.[0];
  const {area: params, node: editor} = jsonEditor("Params", before?.request_payload || JSON.stringify(example?.params ?? {}, null, 2), 6);
  const which = h("select", {});
  const answer = h("div");
  const runner = new Runner(answer, signal);
  const run = () => runner.run((stop) => invoke(title, {params: checked(params.value), version: which.value}, stop));

  async function remove() {
    if (!await sure(`Delete ${title}?`, "Delete", "All its versions go, and cannot be had back. The records of its calls stay.")) return;
    try {
      await deleteFunction(title);
      location.hash = "#/functions";
    } catch (error) {
      fill(said, failure(error));
    }
  }

  fill(main,
    h("div", {class: "title"}, h("h1", {tabindex: -1}, title), h("button", {class: "danger", click: remove}, "Delete")),
    h("p", {class: "lead"}, found.description ? [found.description, h("br")] : null, "Made ", moment(found.created_at), ", changed ", moment(found.updated_at), "."),
    found.tags.length > 0 ? h("p", {class: "tags"}, found.tags.map((tag) => h("span", {}, tag))) : null,
    said,
    live,
    h("section", {}, h("h2", {}, "Versions and route"), routes),
    h("section", {keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } }},
      h("h2", {}, "Call it"),
      h("div", {class: "columns"},
        h("div", {}, editor, h("div", {class: "bar"},
          h("label", {}, "Version", which), runner.button(run, "Call"), h("span", {class: "hint"}, "Ctrl+Enter calls."))),
        answer)),
    h("section", {}, h("h2", {}, "Last calls"), last, h("p", {}, h("a", {href: address("calls", "", {function: title})}, "All its calls"), " · ",
      h("a", {href: address("logs", "", {function: title, since: "15m"})}, "Its log, as it comes")),
      h("p", {class: "hint"}, "A call that is refused before it runs, as by the schema, counts above and leaves no record here.")),
    examples(found.examples ?? [], (given) => {
      params.value = JSON.stringify(given, null, 2);
      params.focus();
      params.scrollIntoView({block: "center"});
    }),
    found.schema ? h("section", {}, h("h2", {}, "Schema"), h("div", {class: "columns"},
      Object.entries(found.schema).map(([name, schema]) => h("div", {}, h("h3", {}, name), block(`Schema of ${name}`, JSON.stringify(schema)))))) : null);
  drawRoutes(found, listed.versions);
  const rates = ratesOf(title);
  drawLive(live, rates, title);
  let shown = "";
  const drawCalls = (calls) => {
    if (JSON.stringify(calls) === shown) return;
    shown = JSON.stringify(calls);
    fill(last, callsTable(calls, "It has not been called yet, or the records are gone.", {named: false}));
  };
  drawCalls(recent.calls);
  ready();

  rates.watch({functions: () => [title], counted: () => [title, "(other)"], changed: () => drawLive(live, rates, title), signal});
  poll(CALLS_EVERY_MS, async () => drawCalls((await callsOf({function: title, per_page: 10}, signal)).calls), signal);
  return title;
}

function drawLive(live, rates, title) {
  const now = rates.of(title);
  const course = rates.course(title);
  const times = course.map((each) => each.at);
  const calls = chart(times, [{kind: "main", values: course.map((each) => each.rate)}, {kind: "bad", values: course.map((each) => each.errors)}],
    {label: `Calls and errors of ${title} a second over the last three minutes; now ${rate(now?.rate)} and ${rate(now?.errors)}`, least: 1});
  const latency = chart(times, [{kind: "main", values: course.map((each) => each.p50)}, {kind: "other", values: course.map((each) => each.p99)}],
    {label: `Latency over the last three minutes; median now ${milliseconds(now?.p50)}, 99th percentile ${milliseconds(now?.p99)}`, least: 1});
  // Before the second look, and of what shares a series, nothing is known.
  const nothing = now === null ? "…" : now.rate === null ? "–" : now.calls === 0 ? "No calls yet." : "No calls while this page was looked at.";
  const drawn = ({svg}, line) => (now?.calls > 0 && course.some((each) => each[line] > 0) ? svg : noChart(nothing));
  fill(live,
    figures([
      ["Calls/s", rate(now?.rate), "over the last 10 seconds"], ["Errors/s", now?.errors ? h("span", {class: "bad"}, rate(now.errors)) : rate(now?.errors), "over the last 10 seconds"],
      ["p50", milliseconds(now?.p50), "over the last minute"], ["p99", milliseconds(now?.p99), "over the last minute"],
      ["Calls", now ? now.calls.toLocaleString("en") : "–", "since the server was started"]]),
    h("div", {class: "columns even"},
      h("figure", {}, drawn(calls, "rate"), h("figcaption", {}, h("span", {}, h("i", {class: "key main"}), "calls, ", h("i", {class: "key bad"}), "errors a second, three minutes"), h("span", {}, `top ${rate(calls.most)}`))),
      h("figure", {}, drawn(latency, "p50"), h("figcaption", {}, h("span", {}, h("i", {class: "key main"}), "p50, ", h("i", {class: "key other"}), "p99, three minutes"), h("span", {}, `top ${milliseconds(latency.most)}`)))));
}

function examples(all, take) {
  if (all.length === 0) return null;
  return h("section", {}, h("h2", {}, "Examples"), table("Examples", [
    {title: "Use", cell: (e) => h("button", {class: "small", click: () => take(e.params), "aria-label": `Use the params of ${e.name ?? "this example"}`}, "Use")},
    {title: "Name", wide: true, cell: (e) => e.name ?? "–"},
    {title: "Params", wide: true, cell: (e) => h("code", {}, JSON.stringify(e.params))},
    {title: "Answer", wide: true, cell: (e) => (e.error ? h("span", {class: "bad"}, [e.error.code ?? "error", e.error.message].filter(Boolean).join(": ")) : h("code", {}, JSON.stringify(e.result) ?? "any"))},
  ], all, ""));
}
