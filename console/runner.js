// Runs something once and shows what came of it: the answer, where its time went, what it printed.
import {callOf} from "./api.js";
import {logList, stagesOf} from "./call.js";
import {members} from "./text.js";
import {address, block, failure, fill, h, milliseconds} from "./view.js";

export class Runner {
  #stop = null;
  #button = null;

  /** Shows answers in `view`; what runs is stopped when the page is left. `locate` as of failure(). */
  constructor(view, signal, locate) {
    this.view = view;
    this.signal = signal;
    this.locate = locate;
    view.setAttribute("aria-live", "polite");
    view.setAttribute("role", "region");
    view.setAttribute("aria-label", "Answer");
    fill(view, h("p", {class: "empty"}, "The answer comes here, with its log."));
    signal.addEventListener("abort", () => this.#stop?.abort());
  }

  /** The button that runs, and stops what runs. */
  button(run, title) {
    this.title = title;
    this.#button = h("button", {type: "button", class: "primary run", click: () => (this.#stop ? this.#stop.abort() : run())}, title);
    return this.#button;
  }

  /** `call(signal)` resolves to the text of the answer of a call. One at a time: a second one is not begun. */
  async run(call) {
    if (this.#stop) return;
    this.#stop = new AbortController();
    this.#button.textContent = "Stop";
    fill(this.view, h("p", {class: "empty"}, "Running …"));
    const whole = h("div");
    let id;
    try {
      const answer = members(await call(this.#stop.signal));
      id = JSON.parse(answer.get("call_id"));
      fill(this.view,
        h("p", {}, h("strong", {class: "good"}, "Result"), ` in ${milliseconds(Number(answer.get("execution_time")))}`,
          answer.get("cached") === "true" ? ", a kept one" : "", ". ", h("a", {href: address("calls", id)}, "Its record")),
        block("Result", answer.get("result")), whole);
    } catch (error) {
      if (error.name === "AbortError") {
        fill(this.view, h("p", {class: "empty"}, "Stopped."));
      } else if (error instanceof SyntaxError) {
        fill(this.view, failure({code: "Not JSON", message: error.message}));
      } else {
        id = error.details?.call_id;
        fill(this.view, failure(error, this.locate), id ? h("p", {}, h("a", {href: address("calls", id)}, "Its record")) : null, whole);
      }
    } finally {
      this.#stop = null;
      this.#button.textContent = this.title;
    }
    // The next may begin meanwhile: its answer takes the place of this one, `whole` with it.
    if (id) await this.#record(id, whole);
  }

  async #record(id, view) {
    try {
      const record = await callOf(id, this.signal);
      fill(view, stagesOf(record), record.logs.length > 0 ? [h("h3", {}, "Log"), logList(record.logs)] : null);
    } catch {
      // Its record is gone, or the server: the answer is there all the same.
    }
  }
}
