// A text area for source text: Tab indents, lines have numbers, and one can be shown.
import {h} from "./view.js";

/** A field for JSON, without line numbers: Tab goes on to the next field. */
export function jsonEditor(label, value, rows) {
  const area = h("textarea", {rows, spellcheck: "false", autocomplete: "off", autocapitalize: "off", value});
  return {area, node: h("label", {class: "json"}, `${label}, as JSON`, area)};
}

/** The text, where it is a JSON object, and {} where there is none; else throws SyntaxError. */
export function checkedObject(text) {
  const whole = checked(text);
  if (!whole.trim().startsWith("{")) throw new SyntaxError("the context is not an object");
  return whole;
}

/** The text, where it is JSON, and {} where there is none; else throws SyntaxError. */
export function checked(text) {
  if (text.trim() === "") return "{}";
  JSON.parse(text);
  return text;
}

/** {area, node, set(text), locate(line, column)}. `changed` is told of each change. */
export function sourceEditor(label, describedBy, changed) {
  const numbers = h("div", {class: "numbers", "aria-hidden": "true"});
  const area = h("textarea", {"aria-label": label, "aria-describedby": describedBy, rows: 20, wrap: "off", spellcheck: "false", autocomplete: "off",
    autocapitalize: "off", keydown: indent, input: () => { number(); changed(); }, scroll: () => { numbers.scrollTop = area.scrollTop; }});
  let lines = 0;
  function number() {
    let count = 1;
    for (let at = area.value.indexOf("\n"); at >= 0; at = area.value.indexOf("\n", at + 1)) count += 1;
    if (count === lines) return;
    lines = count;
    numbers.textContent = `${Array.from({length: lines}, (_, i) => i + 1).join("\n")}\n\n`;
  }
  return {
    area,
    node: h("div", {class: "editor"}, numbers, area),
    set(text) {
      area.value = text;
      number();
    },
    locate(line, column) {
      let begin = 0;
      for (let i = 1; i < line && begin >= 0; i += 1) begin = area.value.indexOf("\n", begin) + 1;
      const end = area.value.indexOf("\n", begin);
      area.focus();
      area.setSelectionRange(begin + (column ? column - 1 : 0), end < 0 ? area.value.length : end);
      const height = area.scrollHeight / Math.max(lines, 1);
      area.scrollTop = Math.max((line - 4) * height, 0);
    },
  };
}

// The browser's own undo knows what is typed this way, and not what is assigned.
function type(area, text) {
  if (!document.execCommand("insertText", false, text)) area.setRangeText(text, area.selectionStart, area.selectionEnd, "end");
}

/** Tab indents the lines that are selected, unless Escape was pressed just before: then it goes on to the next field. */
function indent(event) {
  const area = event.currentTarget;
  if (event.key === "Escape") area.dataset.leaving = "yes";
  else if (event.key !== "Shift" && event.key !== "Tab") delete area.dataset.leaving;
  if (event.key !== "Tab" || event.ctrlKey || event.altKey || area.dataset.leaving) return;
  event.preventDefault();
  const {selectionStart: start, selectionEnd: end} = area;
  if (start === end && !event.shiftKey) {
    type(area, "    ");
    return;
  }
  const begin = area.value.lastIndexOf("\n", start - 1) + 1;
  const lines = area.value.slice(begin, end);
  const moved = event.shiftKey ? lines.replace(/^ {1,4}/gm, "") : lines.replace(/^(?=.)/gm, "    ");
  if (moved === lines) return;
  area.setSelectionRange(begin, end);
  type(area, moved);
  if (start === end) area.setSelectionRange(begin + moved.length, begin + moved.length);
  else area.setSelectionRange(begin, begin + moved.length);
}
