// Many images of one class: click the wrong ones, then confirm the rest.

import { ask } from "./api.js";
import { find, imageOf, make, show } from "./dom.js";

export class Grid {
  constructor(page, { put, wanted, onDone, onEmpty }) {
    Object.assign(this, { page, put, wanted, onDone, onEmpty });
    this.cells = [];
    this.wrong = new Set();
    this.loading = 0;
  }

  async load(column) {
    if (column === null) return;
    const turn = (this.loading += 1);
    const waiting = this.page.outbox.waiting.map((item) => item.cell).join(",");
    const told = await ask("/api/grid", {
      user: this.page.user, ...this.wanted(), class: column, without: waiting,
    });
    if (turn !== this.loading || this.page.mode !== "many") return;
    this.cells = told.cells;
    this.label = told.label;
    this.column = column;
    this.wrong.clear();
    if (!this.cells.length) { this.onEmpty(); return; }
    show(find("empty"), false);
    show(find("grid"), true);
    this.display();
  }

  display() {
    find("grid-asked").replaceChildren("Click every image without ",
      make("em", {}, make("bdi", {}, this.label)));
    find("grid-hint").textContent = "The rest will count as seen and right.";
    find("cells").replaceChildren(...this.cells.map((cell) => this.make(cell)));
    this.count();
    find("cells").firstElementChild.focus({ preventScroll: true });
  }

  make(cell) {
    const address = cell.boxed ? `/crop/${cell.row}/${cell.column}/320` : `/image/${cell.row}/320`;
    const button = make("button", { type: "button", class: "cell", "aria-pressed": "false",
      "aria-label": `${cell.image}: wrong` }, imageOf(address, ""));
    button.dataset.cell = cell.cell;
    button.addEventListener("click", () => {
      const wrong = !this.wrong.has(cell.cell);
      if (wrong) this.wrong.add(cell.cell);
      else this.wrong.delete(cell.cell);
      button.setAttribute("aria-pressed", String(wrong));
      this.count();
    });
    return button;
  }

  count() {
    const right = this.cells.length - this.wrong.size;
    find("confirm-text").textContent = this.wrong.size
      ? `${right} right, ${this.wrong.size} wrong` : `All ${right} are right`;
  }

  move(event) {
    const cells = [...find("cells").children];
    const place = cells.indexOf(document.activeElement);
    const across = getComputedStyle(find("cells")).gridTemplateColumns.split(" ").length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across }[event.key];
    const there = place < 0 ? 0 : place + step;
    if (cells[there]) {
      event.preventDefault();
      cells[there].focus();
    }
  }

  none() {
    for (const cell of this.cells) this.wrong.add(cell.cell);
    this.confirm();
  }

  async confirm() {
    if (this.page.mode !== "many" || !this.cells.length) return;
    for (const cell of this.cells) {
      const answer = this.wrong.has(cell.cell) ? "absent" : "present";
      this.put(cell, answer, "grid");
      this.page.past.push({ ...this.asQuestion(cell), given: answer, version: cell.version + 1 });
    }
    const cells = new Set(this.cells.map((cell) => cell.cell));
    this.page.held = this.page.held.filter((each) => !cells.has(each.cell));
    this.cells = [];
    find("cells").replaceChildren();
    await this.load(this.column);
  }

  asQuestion(cell) {
    return { ...cell, label: this.label, posterior: null, box: null, known: [], others: [],
      examples: [], alike: [] };
  }
}
