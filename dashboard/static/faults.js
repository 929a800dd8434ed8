/* The buttons that break things: only where the server has them. A press is followed until the feed is back. */

import { byId, make, setData, setText } from "./dom.js";
import { span, word } from "./text.js";

const FAULTS_MAX = 40;
const WAIT_MAX_S = 120;
/* A button never waits longer for the server. */
const ANSWER_MAX_S = 10;
/* Where nothing but CONNECTED is expected: so long without a transition shows that there is none. */
const UNMOVED_S = 3;

export class Faults {
  constructor(store, clock) {
    this.store = store;
    this.clock = clock;
    this.panel = byId("faults");
    this.status = byId("fault-status");
    this.watched = null;
    this.details = [];
    this.known = "";
  }

  /* Asked anew at each connection: another server may have come, with others or none. */
  async load(mode) {
    let faults = [];
    try {
      const reply =
        mode === "demo" ? await fetch("/api/faults", { cache: "no-store", signal: patience() }) : { status: 404 };
      if (reply.status === 200) faults = await reply.json();
      else if (reply.status !== 404) return;
    } catch {
      return;
    }
    const known = JSON.stringify(faults);
    if (known === this.known) return;
    this.known = known;
    this.watched = null;
    this.panel.hidden = faults.length === 0;
    const pairs = faults.slice(0, FAULTS_MAX).map((fault, index) => this.build(fault, index));
    byId("fault-buttons").replaceChildren(...pairs.map(([button]) => button));
    byId("fault-details").replaceChildren(...pairs.map(([, detail]) => detail));
    this.details = pairs.map(([, detail]) => detail);
    if (pairs.length > 0) this.reveal(pairs[0][1]);
  }

  build(fault, index) {
    const steps = make("ol", { class: "steps", "aria-label": "Expected states" });
    for (const state of fault.expect) steps.append(make("li", { "data-state": word(state) }, word(state)));
    const help = make("span", {}, make("strong", {}, word(fault.label, 60)), `: ${word(fault.help, 300)}`);
    const detail = make(
      "div",
      { class: "fault-detail", id: `fault-detail-${index}` },
      help,
      make("div", { class: "expect" }, "Expect ", steps),
    );
    const button = make(
      "button",
      { type: "button", "aria-describedby": detail.id, "data-phase": "idle" },
      word(fault.label, 60),
    );
    button.dataset.fault = fault.name;
    button.addEventListener("click", () => this.press(fault, button, detail));
    for (const kind of ["pointerenter", "focus"]) button.addEventListener(kind, () => this.reveal(detail));
    button.addEventListener("pointerleave", () => this.reveal(this.watched?.detail ?? detail));
    return [button, detail];
  }

  reveal(detail) {
    for (const other of this.details) other.classList.toggle("shown", other === detail);
  }

  async press(fault, button, detail) {
    button.disabled = true;
    setText(this.status, `Pressing “${word(fault.label, 60)}” …`);
    const at = this.clock();
    let trouble = null;
    try {
      const address = `/api/faults/${encodeURIComponent(fault.name)}`;
      const reply = await fetch(address, { method: "POST", signal: patience() });
      if (!reply.ok) trouble = word((await reply.text()).trim() || `the server answered ${reply.status}`, 200);
    } catch (error) {
      trouble =
        error.name === "TimeoutError"
          ? `no answer within ${span(ANSWER_MAX_S)}; it may still happen`
          : "the dashboard server does not answer";
    }
    button.disabled = false;
    if (document.activeElement === document.body) button.focus({ preventScroll: true });
    if (trouble !== null) {
      setData(button, "phase", "failed");
      setText(this.status, `“${word(fault.label, 60)}” was not done: ${trouble}`);
      return;
    }
    this.end("idle");
    setData(button, "phase", "running");
    this.watched = { fault, button, detail, at, done: -1 };
    this.reveal(detail);
    this.update();
  }

  end(phase) {
    if (this.watched === null) return;
    setData(this.watched.button, "phase", phase);
    this.watched = null;
  }

  /* Ticks off the expected states as they are entered after the press. */
  update() {
    if (this.watched === null) return;
    const { fault, detail, at, done } = this.watched;
    const entered = this.store.transitions.filter((one) => one.at >= at - 0.2).map((one) => one.after);
    let seen = 0;
    const isUnmoved = fault.expect.length === 1 && entered.length === 0 && this.clock() - at > UNMOVED_S;
    if (isUnmoved && this.store.state.name === fault.expect[0]) seen = 1;
    for (const state of entered) if (seen < fault.expect.length && state === fault.expect[seen]) seen += 1;
    if (seen !== done) {
      this.watched.done = seen;
      detail.querySelectorAll("li").forEach((step, index) => setData(step, "seen", String(index < seen)));
      const rest = fault.expect
        .slice(seen)
        .map((state) => word(state))
        .join(", then ");
      setText(
        this.status,
        `“${word(fault.label, 60)}” pressed. ${seen === 0 ? "Expect" : `Seen: ${word(fault.expect[seen - 1])}. Still to come:`} ${rest}`,
      );
    }
    if (seen === fault.expect.length) {
      setText(
        this.status,
        `“${word(fault.label, 60)}”: ${seen === 1 && isUnmoved ? "no transition was needed" : "all expected states seen"}, within ${span(this.clock() - at)}.`,
      );
      this.end("seen");
    } else if (this.clock() - at > WAIT_MAX_S) {
      setText(this.status, `“${word(fault.label, 60)}”: not all expected states came within ${span(WAIT_MAX_S)}.`);
      this.end("idle");
    }
  }
}

const patience = () => AbortSignal.timeout(ANSWER_MAX_S * 1000);
