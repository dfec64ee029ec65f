// The console: pages under #/…, and the state of the server in the head of each.
import {Gone, health, server} from "./api.js";
import {callPage} from "./call.js";
import {callsPage} from "./calls.js";
import {functionPage} from "./function.js";
import {functionsPage} from "./functions.js";
import {pause, seen} from "./live.js";
import {logsPage} from "./logs.js";
import {serverPage} from "./server.js";
import {tryPage} from "./try.js";
import {fill, h, notice} from "./view.js";

const HEALTH_EVERY_MS = 15_000;

// A page is called with its main element, {of, query}: what its address names and asks for, and a signal that aborts when it is
// left. It fills the element, may then go on changing it, and returns its title.
const PAGES = {
  functions: ({of}) => (of === null ? functionsPage : functionPage),
  calls: ({of}) => (of === null ? callsPage : callPage),
  logs: () => logsPage,
  try: () => tryPage,
  server: () => serverPage,
};

const main = document.getElementById("main");
const status = document.getElementById("status");
let leave = new AbortController();
let waiting = false;  // the page could not be shown since no server answered

function parsed(hash) {
  const [path, query] = (hash || "#/functions").replace(/^#\/?/, "").split(/\?(.*)/s);
  const [page, of] = path.split(/\/(.*)/s);
  return {page, of: of ? decodeURIComponent(of) : null, query: Object.fromEntries(new URLSearchParams(query ?? ""))};
}

// Where each entry of the history was scrolled to, by its number.
history.scrollRestoration = "manual";
const scrolled = new Map();
let entry = 0;
const stamp = () => {
  const known = history.state?.entry;
  if (known === undefined) history.replaceState({entry: Date.now() + Math.random()}, "");
  entry = history.state.entry;
  return known;
};

async function show({focus}) {
  leave.abort();
  leave = new AbortController();
  const {signal} = leave;
  const known = stamp();
  let at;
  try {
    at = parsed(location.hash);
  } catch {
    at = {page: "", of: null, query: {}};  // not well encoded
  }
  for (const link of document.querySelectorAll("nav a")) {
    const here = link.hash === `#/${at.page}`;
    here ? link.setAttribute("aria-current", "page") : link.removeAttribute("aria-current");
  }
  waiting = false;
  try {
    if (!Object.hasOwn(PAGES, at.page)) throw Object.assign(new Error(`There is no page ${location.hash}.`), {unknown: true});
    // What is there stays until the new page has something to show.
    const page = h("div");
    const title = await PAGES[at.page](at)(page, at, signal, () => {
      if (!signal.aborted) main.replaceChildren(page);
    });
    if (signal.aborted) return;
    document.title = `${title} – Seam`;
  } catch (error) {
    if (signal.aborted) return;
    waiting = error instanceof Gone;
    document.title = "Seam";
    const lost = at.page === "functions" && at.of !== null && (error.status === 404 || error.status === 400);  // 400: no name that a function can have
    fill(main, h("h1", {tabindex: -1}, waiting ? "No server" : lost ? "No such function" : error.status === 404 ? "Not found" : error.unknown ? "No such page" : "That did not work"),
      notice(waiting ? "The server does not answer. Start it with seam serve; this page comes back by itself."
        : error.message, !waiting),
      h("p", {}, h("a", {href: "#/functions"}, "All functions")));
    if (!waiting && !error.status && !error.unknown) console.error(error);
  }
  scrollTo(0, (known !== undefined && scrolled.get(known)) || 0);
  if (focus) main.querySelector("h1")?.focus({preventScroll: true});
}

let gone = false;
let wake = () => {};  // has the health asked for at once
const say = (text, kind) => {
  status.className = kind;
  if (status.textContent !== text) status.textContent = text;
};

async function watchHealth() {
  let gap = HEALTH_EVERY_MS;
  for (;;) {
    await seen();
    try {
      const answer = await health();
      say(answer.status === "ok" ? `Seam ${answer.version} is up` : `Seam ${answer.version} is ${answer.status}`, answer.status === "ok" ? "good" : "bad");
      gap = HEALTH_EVERY_MS;
    } catch (error) {
      if (!(error instanceof Gone)) say(error.message, "bad");
      gap = gap === HEALTH_EVERY_MS ? 1000 : Math.min(2 * gap, 8000);
    }
    const nap = new AbortController();
    wake = () => nap.abort();
    await pause(gap, nap.signal);
  }
}

server.addEventListener("gone", () => {
  if (gone) return;
  gone = true;
  say("The server does not answer", "bad");
  main.classList.add("stale");
  wake();
});
server.addEventListener("answered", () => {
  if (!gone) return;
  gone = false;
  main.classList.remove("stale");
  say("The server is back", "good");
  if (waiting) show({focus: false});
});

const theme = document.getElementById("theme");
theme.value = document.documentElement.dataset.theme ?? "";
theme.addEventListener("change", () => {
  theme.value === "" ? delete document.documentElement.dataset.theme : document.documentElement.dataset.theme = theme.value;
  localStorage.setItem("seam.theme", theme.value);
});

addEventListener("scroll", () => scrolled.set(entry, scrollY), {passive: true});
addEventListener("popstate", () => show({focus: true}));
show({focus: false});
watchHealth();
