// What changes while one looks at it: asking again, and rates and latencies out of counters.
import {Gone, metrics, Refused} from "./api.js";

const RATE_OVER_MS = 10_000;
const LATENCY_OVER_MS = 60_000;
export const KEPT_MS = 180_000;
const EVERY_MS = 3000;

/** Waits, at most until `signal` aborts. */
export const pause = (ms, signal) => new Promise((done) => {
  const end = () => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
    done();
  };
  const timer = setTimeout(end, ms);
  signal?.addEventListener("abort", end);
});

/** Waits until the page is seen. */
export const seen = (signal) => new Promise((done) => {
  if (!document.hidden) return done();
  const look = () => {
    if (document.hidden && !signal?.aborted) return;
    document.removeEventListener("visibilitychange", look);
    signal?.removeEventListener("abort", look);
    done();
  };
  document.addEventListener("visibilitychange", look);
  signal?.addEventListener("abort", look);
});

/**
 * Runs `task` every `everyMs` until `signal` aborts: not while the page is hidden, more slowly where the answer took long (so that
 * looking costs the server a twentieth of its time at most), and more and more slowly while no server answers, or it refuses.
 */
export async function poll(everyMs, task, signal, {firstGapMs = everyMs} = {}) {
  let gap = firstGapMs;
  while (!signal.aborted) {
    const began = performance.now();
    try {
      await task();
      await pause(Math.max(gap, 20 * (performance.now() - began)), signal);
      gap = everyMs;
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Gone || error instanceof Refused)) throw error;
      gap = Math.min(2 * gap, 10_000);
      await pause(gap, signal);
    }
    await seen(signal);
  }
}

/** The value below which the share `q` of what a histogram counted stayed, in the unit of its bounds; null where it counted nothing. */
export function quantile(buckets, q) {
  const sorted = [...buckets].sort((a, b) => a[0] - b[0]);
  const total = sorted.length === 0 ? 0 : sorted[sorted.length - 1][1];
  if (total === 0) return null;
  let lower = 0;
  let below = 0;
  for (const [bound, count] of sorted) {
    if (count >= q * total) {
      if (bound === Infinity) return lower;
      return count === below ? bound : lower + ((bound - lower) * (q * total - below)) / (count - below);
    }
    lower = bound;
    below = count;
  }
  return lower;
}

// Counters of functions at one moment: function -> {calls, errors, buckets: bound -> how many stayed below, where they were asked for}.
function read(samples) {
  const functions = new Map();
  for (const {name, labels, value} of samples) {
    if (labels.function === undefined) continue;
    if (!functions.has(labels.function)) functions.set(labels.function, {calls: 0, errors: 0, buckets: null});
    const counted = functions.get(labels.function);
    if (name === "seam_function_calls_total") {
      counted.calls += value;
      if (labels.code !== "OK" && labels.code !== "CANCELLED") counted.errors += value;
    } else if (name === "seam_function_call_duration_seconds_bucket") {
      const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
      counted.buckets ??= new Map();
      counted.buckets.set(bound, (counted.buckets.get(bound) ?? 0) + value);
    }
  }
  return functions;
}

// A server that was started anew counts from 0.
const since = (now, before) => (before === undefined || now < before ? now : now - before);

const kept = new Map();

/** The Rates of one kind of look, as the last page that looked so left them: a course goes on where one comes back to it. */
export function ratesOf(key) {
  if (!kept.has(key)) kept.set(key, new Rates());
  if (kept.size > 20) kept.delete(kept.keys().next().value);
  return kept.get(key);
}

/** Looks at the counters of functions again and again, and tells how fast they grow. */
class Rates {
  #looks = [];  // [{at, functions}], oldest first

  // The first look within the last `ms` that counted what is asked for.
  #before(ms, counted = () => true) {
    const {at} = this.#looks[this.#looks.length - 1];
    return this.#looks.find((each) => at - each.at <= ms + EVERY_MS / 2 && counted(each));
  }

  #between(earlier, later, title) {
    const [before, now] = [earlier.functions.get(title), later.functions.get(title)];
    // Beyond a thousand functions some share a series: what is theirs cannot be told.
    if (!now) return later.functions.has("(other)") ? {rate: null, errors: null, p50: null, p99: null} : {rate: 0, errors: 0, p50: null, p99: null};
    const seconds = (later.at - earlier.at) / 1000;
    const told = now.buckets !== null && (before === undefined || before.buckets !== null);
    const buckets = told ? [...now.buckets].map(([bound, count]) => [bound, since(count, before?.buckets.get(bound))]) : [];
    const ms = (value) => (value === null ? null : value * 1000);
    return {
      rate: since(now.calls, before?.calls) / seconds,
      errors: since(now.errors, before?.errors) / seconds,
      p50: ms(quantile(buckets, 0.5)),
      p99: ms(quantile(buckets, 0.99)),
    };
  }

  /** Calls, errors a second over the last 10 seconds, p50, p99 in ms over the last minute; null before the second look. */
  of(title) {
    if (this.#looks.length < 2) return null;
    const last = this.#looks[this.#looks.length - 1];
    const from = this.#before(RATE_OVER_MS);
    const {rate, errors} = this.#between(from === last ? this.#looks[this.#looks.length - 2] : from, last, title);
    const timed = this.#before(LATENCY_OVER_MS, ({functions}) => functions.get(title)?.buckets !== null);
    const {p50, p99} = timed === undefined || timed === last ? {p50: null, p99: null} : this.#between(timed, last, title);
    return {rate, errors, p50, p99, calls: last.functions.get(title)?.calls ?? 0};
  }

  /** The same from look to look, oldest first: [{at, rate, errors, p50, p99}]. */
  course(title) {
    return this.#looks.slice(1).map((look, i) => ({at: look.at, ...this.#between(this.#looks[i], look, title)}));
  }

  /** Looks until `signal` aborts; `functions()` names those whose latencies are wanted, and `counted()` those whose calls are (undefined: all). */
  watch({functions, counted = () => undefined, changed, signal}) {
    return poll(EVERY_MS, async () => {
      const wanted = functions();
      const samples = (await Promise.all([
        metrics(["seam_function_calls_total"], counted(), signal),
        wanted.length === 0 ? [] : metrics(["seam_function_call_duration_seconds"], wanted, signal),
      ])).flat();
      const at = performance.now();
      this.#looks.push({at, functions: read(samples)});
      while (at - this.#looks[0].at > KEPT_MS) this.#looks.shift();
      changed();
    }, signal, {firstGapMs: 1000});
  }
}
