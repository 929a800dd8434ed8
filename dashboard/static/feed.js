/* The line to the server: one EventSource, replaced when it is given up or says nothing for too long. */

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 5000;
/* The server sends at least a comment every 10 s, which an EventSource does not show: past that, ask. */
const QUIET_MS = 12000;
const ASK_TIMEOUT_MS = 4000;

export class Feed {
  /* take(picture) returns false to be sent a whole picture; line(connected) hears about the connection. */
  constructor(take, line) {
    this.take = take;
    this.line = line;
    this.connected = null;
    this.retryMs = RETRY_FIRST_MS;
    this.source = null;
    this.timer = 0;
    this.heardAt = performance.now();
    this.asking = false;
    setInterval(() => this.watch(), 2000);
    this.open();
  }

  open() {
    this.source?.close();
    clearTimeout(this.timer);
    const source = new EventSource("/events");
    this.source = source;
    source.addEventListener("picture", (event) => {
      if (source === this.source) this.hear(event.data);
    });
    source.addEventListener("error", () => {
      if (source === this.source) this.lost();
    });
  }

  hear(data) {
    let picture;
    try {
      picture = JSON.parse(data);
    } catch {
      this.lost();
      return;
    }
    this.heardAt = performance.now();
    if (!this.take(picture)) {
      this.lost();
      return;
    }
    this.retryMs = RETRY_FIRST_MS;
    this.tell(true);
  }

  lost() {
    this.source.close();
    this.tell(false);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(RETRY_MAX_MS, this.retryMs * 2);
    this.heardAt = performance.now();
  }

  tell(connected) {
    if (connected === this.connected) return;
    this.connected = connected;
    this.line(connected);
  }

  async watch() {
    if (this.asking || performance.now() - this.heardAt < QUIET_MS) return;
    this.asking = true;
    try {
      const reply = await fetch("/api/picture", { cache: "no-store", signal: AbortSignal.timeout(ASK_TIMEOUT_MS) });
      if (!reply.ok) throw new Error(`the server answered ${reply.status}`);
      const text = await reply.text();
      if (performance.now() - this.heardAt >= QUIET_MS) this.hear(text);
    } catch {
      if (performance.now() - this.heardAt >= QUIET_MS) this.lost();
    } finally {
      this.asking = false;
    }
  }
}
