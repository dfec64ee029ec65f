// The server, as the pages see it: the same API that any client uses.

/** An error that the server answered; `details` is what it says beside the message. */
export class Refused extends Error {
  constructor(status, error, retryAfter) {
    super(error.message);
    this.status = status;
    this.code = error.code;
    this.details = error.details ?? {};
    this.retryAfter = Number(retryAfter) || 0;  // seconds
  }
}

/** No server answered, or it went away before its answer was whole. */
export class Gone extends Error {
  constructor() {
    super("The server does not answer.");
  }
}

/** Tells what pages want to know of all requests: "answered" and "gone". */
export const server = new EventTarget();

async function send(method, path, {body, headers, signal} = {}) {
  const options = {method, headers: {...headers}, cache: "no-store", signal};
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = body;
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    throw lost(error);
  }
  server.dispatchEvent(new Event("answered"));
  if (response.ok) return response;
  const text = await textOf(response);
  let error;
  try {
    ({error} = JSON.parse(text));
  } catch {
    error = {code: `HTTP ${response.status}`, message: text.slice(0, 500)};
  }
  throw new Refused(response.status, error, response.headers.get("Retry-After"));
}

function lost(error) {
  if (error.name === "AbortError") return error;
  server.dispatchEvent(new Event("gone"));
  return new Gone();
}

async function textOf(response) {
  try {
    return await response.text();
  } catch (error) {
    throw lost(error);
  }
}

async function ask(method, path, more) {
  const text = await textOf(await send(method, path, more));
  return text === "" ? null : JSON.parse(text);
}

const name = (title) => encodeURIComponent(title);
const query = (values) => {
  const kept = Object.entries(values).filter(([, value]) => value !== "" && value !== undefined && value !== null);
  return kept.length === 0 ? "" : `?${new URLSearchParams(kept)}`;
};

export const health = (signal) => ask("GET", "/health", {signal});
export const functionsPage = (page, signal) => ask("GET", `/api/v1/functions?page=${page}&per_page=100`, {signal});
export const functionOf = (title, signal) => ask("GET", `/api/v1/functions/${name(title)}`, {signal});
export const versionsOf = (title, signal) => ask("GET", `/api/v1/functions/${name(title)}/versions`, {signal});
export const routeTo = (title, version) => ask("PUT", `/api/v1/functions/${name(title)}/route`, {body: JSON.stringify({version})});
export const putFunction = (title, fields) => ask("PUT", `/api/v1/functions/${name(title)}`, {body: JSON.stringify(fields)});
export const deleteFunction = (title) => ask("DELETE", `/api/v1/functions/${name(title)}`);
export const callsOf = (values, signal) => ask("GET", `/api/v1/calls${query(values)}`, {signal});
export const callOf = (id, signal) => ask("GET", `/api/v1/calls/${name(id)}`, {signal});

/** Calls a function. `params` and `context` are JSON texts and go out as they are; so does the answer's text come back. */
export async function invoke(title, {params, context, version}, signal) {
  const body = `{"params":${params}${context ? `,"context":${context}` : ""}}`;
  return textOf(await send("POST", `/api/v1/functions/${name(title)}/invoke${query({version})}`, {body, signal}));
}

/** Runs a script once, in a session that ends with it. `params` and `context` (an object) as of invoke(). */
export async function runScript(title, {script, params, context}, signal) {
  const more = context.trim().slice(1).trimStart();  // of the object, behind its brace
  const whole = `{"retain_session":false${more.startsWith("}") ? "" : ","}${more}`;
  const opened = await ask("POST", "/api/v1/initialize", {
    body: `{"script_content":${JSON.stringify(script)},"context":${whole}}`, headers: {"Language-Title": title}, signal});
  const path = name(opened.request_id);
  try {
    return await textOf(await send("POST", `/api/v1/execute/${path}`, {body: `{"params":${params}}`, signal}));
  } catch (error) {
    // It was stopped, or never begun: the session would wait for its first call until it expires.
    if (!error.details?.call_id) ask("DELETE", `/api/v1/sessions/${path}`).catch(() => {});
    throw error;
  }
}

/** Follows log lines, each given to `take`, until `signal` aborts or the server ends the stream. */
export async function followLogs(values, take, signal) {
  const response = await send("GET", `/api/v1/logs${query({...values, follow: true})}`, {signal});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch (error) {
      throw lost(error);
    }
    if (part.done) return;
    const lines = (rest + part.value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line !== "") take(JSON.parse(line));
  }
}

/** The samples of some families of metrics, of some functions or all: [{name, labels, value}]. source: Prometheus text format 0.0.4 */
export async function metrics(families, functions, signal) {
  const text = await textOf(await send("GET", `/metrics${query({family: families.join(), function: functions?.join()})}`, {signal}));
  const samples = [];
  for (const line of text.split("\n")) {
    const parts = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, key, value] of (parts[2] ?? "").matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
      labels[key] = value.replace(/\\(.)/g, (_, c) => (c === "n" ? "\n" : c));
    }
    samples.push({name: parts[1], labels, value: parts[3] === "+Inf" ? Infinity : Number(parts[3])});
  }
  return samples;
}
