// An editor for a script, its params, and what it answers.
import {functionOf, health, putFunction, runScript} from "./api.js";
import {checked, checkedObject, jsonEditor, sourceEditor} from "./editor.js";
import {Runner} from "./runner.js";
import {address, failure, fill, h, sure} from "./view.js";

const STARTS = {
  nodejs: {title: "JavaScript", script: `console.log("called with", event.params);\nreturn {sum: event.params.a + event.params.b};\n`},
  python: {title: "Python", script: `def handle(params):\n    print("called with", params)\n    return {"sum": params["a"] + params["b"]}\n`},
  rust: {title: "Rust", script: `use serde_json::{json, Map, Value};\n\npub fn handler(context: Map<String, Value>) -> Result<Value, String> {\n`
    + `    let params = &context["params"];\n    let a = params["a"].as_f64().ok_or("a is not a number")?;\n`
    + `    let b = params["b"].as_f64().ok_or("b is not a number")?;\n    Ok(json!({"sum": a + b}))\n}\n`},
};
const PARAMS = `{"a": 1, "b": 2}`;

// Kept in this tab, so that a look at another page, or a reload, loses nothing.
const kept = (key, value) => (value === undefined ? sessionStorage.getItem(`try.${key}`) : sessionStorage.setItem(`try.${key}`, value));

export async function tryPage(main, {query}, signal, ready) {
  const {components: {runtimes}} = await health(signal);
  const languages = Object.keys(STARTS).filter((each) => runtimes[each] === "up");
  if (languages.length === 0) throw new Error("None of the runtimes that take scripts can work on this machine: the page Server says why.");
  const wanted = [query.language, kept("language")].find((each) => languages.includes(each));
  let language = wanted ?? languages[0];

  const editor = sourceEditor("Script", "keys", () => kept(`script.${language}`, editor.area.value));
  const {area: params, node: paramsField} = jsonEditor("Params", kept("params") ?? PARAMS, 4);
  const {area: context, node: contextField} = jsonEditor("Context", kept("context") ?? "", 3);
  for (const [key, area] of Object.entries({params, context})) area.addEventListener("input", () => kept(key, area.value));
  const name = h("input", {placeholder: "greet", required: true, maxlength: 64, pattern: "[A-Za-z0-9_.\\-]{1,64}", spellcheck: "false", autocomplete: "off",
    title: "1 to 64 of A-Z a-z 0-9 _ . -"});
  const prefix = h("span", {class: "prefix"});
  const answer = h("div");
  const said = h("div");
  const runner = new Runner(answer, signal, editor.locate);
  const run = () => runner.run(async (stop) =>
    runScript(`${language}-console`, {script: editor.area.value, params: checked(params.value), context: checkedObject(context.value)}, stop));

  function choose(next) {
    language = next;
    kept("language", language);
    prefix.textContent = `${language}-`;
    editor.set(kept(`script.${language}`) ?? STARTS[language].script);
    history.replaceState(history.state, "", address("try", "", {language}));
  }

  async function keep() {
    const title = `${language}-${name.value}`;
    try {
      const there = await functionOf(title, signal).catch((error) => { if (error.status !== 404) throw error; return null; });
      if (there && !await sure(`Put version ${there.version + 1} of ${title}?`, "Put", "It is there already. All its calls go to the new version from then on; its schema, examples and options are the new one's.")) return;
      await putFunction(title, {content: editor.area.value});
      location.hash = address("functions", title);
    } catch (error) {
      fill(said, failure(error, editor.locate));
    }
  }

  const chooser = h("select", {change: () => choose(chooser.value)},
    languages.map((each) => h("option", {value: each, selected: each === language}, STARTS[each].title)));
  fill(main,
    h("h1", {tabindex: -1}, "Try a script"),
    h("p", {class: "lead"}, "It runs in the same sandbox as every function, and leaves a record like every call."),
    h("div", {class: "columns", keydown: (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); } }},
      h("div", {},
        h("div", {class: "bar"}, h("label", {}, "Language", chooser), runner.button(run, "Run"),
          h("span", {class: "hint", id: "keys"}, "Ctrl+Enter runs. Tab indents; Escape, then Tab, leaves the editor.")),
        editor.node),
      h("div", {},
        paramsField,
        h("details", {open: Boolean(kept("context"))}, h("summary", {}, "Context"), contextField),
        answer)),
    h("section", {}, h("h2", {}, "Keep it as a function"),
      h("form", {class: "bar", submit: (event) => { event.preventDefault(); keep(); }},
        h("label", {}, "Name", h("span", {class: "prefixed"}, prefix, name)), h("button", {}, "Put")), said));
  choose(language);
  ready();
  return "Try a script";
}
