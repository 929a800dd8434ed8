/* The line to the server: one EventSource, replaced when it is given up or says nothing for too long. A browser has six
   connections to one host, and every page holds one: a hidden page gives its own back. */

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 5000;
/* The server sends at least a comment every 10 s, which an EventSource does not show: past that, ask. */
const QUIET_MS = 12000;
const ASK_TIMEOUT_MS = 4000;

export class Feed {
  /* take(picture) returns false to be sent a whole picture; line(status) hears about the connection: "live", "lost",
     "slow" (no answer at all), "crowded" (the server has no stream left, but pictures), "paused" (the page is hidden). */
  constructor(take, line) {
    this.take = take;
    this.line = line;
    this.status = null;
    this.retryMs = RETRY_FIRST_MS;
    this.source = null;
    this.hasHeard = false;
    this.timer = 0;
    this.heardAt = performance.now();
    this.asking = false;
    setInterval(() => this.watch(), 2000);
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.open()));
    if (document.hidden) this.pause();
    else this.open();
  }

  get connected() {
    return this.status === "live";
  }

  open() {
    this.close();
    this.heardAt = performance.now();
    const source = new EventSource("/events");
    this.source = source;
    source.addEventListener("picture", (event) => {
      if (source === this.source) this.hear(event.data);
    });
    source.addEventListener("error", () => {
      if (source === this.source) this.fail();
    });
  }

  close() {
    this.source?.close();
    this.source = null;
    this.hasHeard = false;
    clearTimeout(this.timer);
  }

  pause() {
    this.close();
    this.tell("paused");
  }

  hear(data) {
    if (!this.enter(data)) {
      this.lost();
      return;
    }
    this.hasHeard = true;
    this.retryMs = RETRY_FIRST_MS;
    this.tell("live");
  }

  enter(data) {
    let picture;
    try {
      picture = JSON.parse(data);
    } catch {
      return false;
    }
    this.heardAt = performance.now();
    return this.take(picture);
  }

  /* A stream that never said anything was refused: the server may have pictures all the same. */
  async fail() {
    const wasRefused = !this.hasHeard;
    this.close();
    if (!wasRefused) {
      this.lost();
      return;
    }
    const text = await this.ask();
    if (document.hidden || this.source !== null) return;
    this.lost(text !== null && this.enter(text) ? "crowded" : "lost");
  }

  lost(status = "lost") {
    this.close();
    this.tell(status);
    this.timer = setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(RETRY_MAX_MS, this.retryMs * 2);
  }

  tell(status) {
    if (status === this.status && status !== "crowded") return;
    this.status = status;
    this.line(status);
  }

  /* A stream that says nothing while the server answers is dead, whatever it looks like: another one is opened. */
  async watch() {
    const { source } = this;
    if (source === null || this.asking || performance.now() - this.heardAt < QUIET_MS) return;
    this.asking = true;
    const text = await this.ask();
    this.asking = false;
    if (source !== this.source || performance.now() - this.heardAt < QUIET_MS) return;
    if (text === null || !this.enter(text)) this.lost("slow");
    else this.open();
  }

  async ask() {
    try {
      const reply = await fetch("/api/picture", { cache: "no-store", signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
      return reply.ok ? await reply.text() : null;
    } catch {
      return null;
    }
  }
}
