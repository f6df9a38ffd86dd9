// Answers on their way to the disk of the server. Each waits in the page, and in the browser's own
// store, until the server has said that it is on the disk; sent twice under one id, it counts once.

import { send, Refusal } from "./api.js";

const TOGETHER = 50;
const PAUSES = [500, 1000, 2000, 4000];

export class Outbox {
  constructor(store, user, { onChange, onStored, onConflict, onRefused }) {
    this.prefix = `tacit/${store}/${user}/`;
    this.user = user;
    this.waiting = [];
    this.tries = 0;
    this.sending = false;
    this.stopped = false;
    Object.assign(this, { onChange, onStored, onConflict, onRefused });
    this.adopt();
    window.addEventListener("online", () => this.hurry());
  }

  // What an earlier page could not send any more.
  adopt() {
    const found = [];
    try {
      for (let n = 0; n < localStorage.length; n += 1) {
        const key = localStorage.key(n);
        if (key.startsWith(this.prefix)) found.push(JSON.parse(localStorage.getItem(key)));
      }
    } catch { /* a browser that keeps nothing */ }
    found.sort((one, other) => one.order - other.order);
    this.waiting.push(...found);
  }

  get unsaved() {
    return this.waiting.length;
  }

  put(verdict) {
    const last = this.waiting.length ? this.waiting[this.waiting.length - 1].order : 0;
    const item = { order: Math.max(Date.now(), last + 1), ...verdict };
    this.waiting.push(item);
    this.keep(item);
    this.onChange();
    this.work();
  }

  keep(item) {
    try {
      localStorage.setItem(this.prefix + item.id, JSON.stringify(item));
    } catch { /* then it waits in the page alone, which says so when it is left */ }
  }

  drop(ids) {
    const gone = new Set(ids);
    this.waiting = this.waiting.filter((item) => !gone.has(item.id));
    for (const id of gone) {
      try {
        localStorage.removeItem(this.prefix + id);
      } catch { /* as above */ }
    }
  }

  hurry() {
    clearTimeout(this.timer);
    this.stopped = false;
    this.work();
  }

  async work() {
    if (this.sending || this.stopped || !this.waiting.length) return;
    this.sending = true;
    const part = this.waiting.slice(0, TOGETHER);
    try {
      const told = await send(this.user, part.map(({ order, ...verdict }) => verdict));
      this.tries = 0;
      const met = new Map(told.conflicts.map((each) => [each.id, each]));
      this.drop([...told.stored, ...met.keys()]);
      this.onStored(told.progress);
      for (const item of part) if (met.has(item.id)) this.onConflict(item, met.get(item.id));
    } catch (error) {
      this.fail(error);
    } finally {
      this.sending = false;
      this.onChange();
    }
    if (!this.tries && !this.stopped && this.waiting.length) this.work();
  }

  fail(error) {
    const status = error instanceof Refusal ? error.status : 0;
    this.tries += 1;
    if (status >= 400 && status < 500) this.stopped = true;
    this.onRefused(status, error.message);
    const pause = PAUSES[Math.min(this.tries, PAUSES.length) - 1];
    if (!this.stopped) this.timer = setTimeout(() => this.work(), pause);
  }
}
