// Text that came from functions and callers: made safe to look at, and read without changing a digit of it.

const NOT_SEEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;
const KEPT = new Set(["\n", "\t", "\u200c", "\u200d"]);  // joiners are part of words and emoji

/** The text with what would not be seen, or would turn other text round, written out: a NUL as \x00, an override as \u202e. */
export function visible(text) {
  return text.replace(NOT_SEEN, (character) => {
    if (KEPT.has(character)) return character;
    const code = character.codePointAt(0).toString(16);
    return code.length <= 2 ? `\\x${code.padStart(2, "0")}` : code.length <= 4 ? `\\u${code.padStart(4, "0")}` : `\\u{${code}}`;
  });
}

/** Where the string ends that begins at `at`: behind its closing quotation mark. */
function endOfString(text, at) {
  for (let next = at + 1; ; next += 1) {
    const quote = text.indexOf('"', next);
    if (quote < 0) return text.length;
    let back = quote - 1;
    while (text[back] === "\\") back -= 1;
    if ((quote - back) % 2 === 1) return quote + 1;
    next = quote;
  }
}

const isSpace = (c) => c === " " || c === "\n" || c === "\t" || c === "\r";

/** The members of the JSON object `text`, which is well-formed: name -> its value as it stands there. */
export function members(text) {
  const found = new Map();
  let depth = 0;
  let name = null;
  let begin = -1;
  for (let at = 0; at < text.length; at += 1) {
    const c = text[at];
    if (c === '"') {
      const end = endOfString(text, at);
      if (depth === 1 && begin < 0) name = JSON.parse(text.slice(at, end));
      at = end - 1;
    } else if (c === "{" || c === "[") {
      depth += 1;
    } else if (c === ":" && depth === 1) {
      begin = at + 1;
    } else if (c === "}" || c === "]" || (c === "," && depth === 1)) {
      if (c !== ",") depth -= 1;
      if (begin >= 0 && (depth === 0 || c === ",")) {
        found.set(name, text.slice(begin, at).trim());
        begin = -1;
      }
    }
  }
  return found;
}

/** Where the object or array that begins at `at` ends, if it is at most `most` characters long; else -1. */
function endWithin(text, at, most) {
  let depth = 0;
  for (let next = at; next < text.length && next - at <= most; next += 1) {
    const c = text[next];
    if (c === '"') next = endOfString(text, next) - 1;
    else if (c === "{" || c === "[") depth += 1;
    else if (c === "}" || c === "]") depth -= 1;
    if (depth === 0) return next - at <= most ? next + 1 : -1;
  }
  return -1;
}

/**
 * JSON with line breaks, short objects and arrays on one line. Numbers and strings stay as they are written (3.0, 2^64);
 * what is no JSON, or is cut, comes out too. It ends once it has `most` characters, and says so by `whole`.
 */
export function indented(text, most = Infinity) {
  let out = "";
  let depth = 0;
  let flatUntil = -1;
  let at = 0;
  const line = () => (at <= flatUntil ? " " : `\n${"  ".repeat(Math.max(depth, 0))}`);
  while (at < text.length && out.length < most) {
    const c = text[at];
    if (c === '"') {
      const end = endOfString(text, at);
      out += text.slice(at, end);
      at = end;
    } else if (c === "{" || c === "[") {
      if (at > flatUntil) {
        const end = endWithin(text, at, 72);
        if (end > 0) flatUntil = end - 1;
      }
      depth += 1;
      at += 1;
      out += c;
      while (isSpace(text[at])) at += 1;
      if (text[at] !== "}" && text[at] !== "]" && at > flatUntil) out += line();
    } else if (c === "}" || c === "]") {
      depth -= 1;
      const before = out[out.length - 1];
      if (at > flatUntil && before !== "{" && before !== "[") out += line();
      out += c;
      at += 1;
    } else if (c === ",") {
      out += c;
      out += line();
      at += 1;
      while (isSpace(text[at])) at += 1;
    } else if (c === ":") {
      out += ": ";
      at += 1;
    } else {
      if (!isSpace(c)) out += c;
      at += 1;
    }
  }
  return {text: out.slice(0, most), whole: at >= text.length && out.length <= most};
}
