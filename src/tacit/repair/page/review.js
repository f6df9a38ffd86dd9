// The page of a review: what is shown, what the keys do, what waits to be stored.

import { ask } from "./api.js";
import { find, imageOf, isTyping, make, retryGone, show } from "./dom.js";
import { Grid } from "./grid.js";
import { Outbox } from "./outbox.js";
import { prefetch, showEvidence, showQuestion } from "./question.js";
import { showReport } from "./report.js";

const AHEAD = 50; // questions that are held at least, so that the server may be away for a while
const PART = 30;
const SURE = 3; // of them that stay when the queue has learned

const page = {
  state: null,
  user: "",
  mode: "one",
  held: [], // questions to come
  past: [], // questions that were shown, the last one last
  current: null,
  boxed: false,
  fetching: false,
  outbox: null,
  grid: null,
};

const newId = () => {
  const numbers = crypto.getRandomValues(new Uint32Array(4));
  return Array.from(numbers, (number) => number.toString(16).padStart(8, "0")).join("");
};

function wanted() {
  const column = columnOf(find("class").value);
  return {
    class: column ?? "",
    least: find("least").value === "0" ? "" : Number(find("least").value) / 100,
    name: find("named").value.trim(),
    nolabel: find("nolabel").checked ? "1" : "",
    unseen: find("unseen").checked ? "1" : "",
  };
}

function columnOf(name) {
  const sought = name.trim().toLowerCase();
  if (!sought) return null;
  const exact = page.state.classes.findIndex((each) => each.name.toLowerCase() === sought);
  return exact < 0 ? null : exact;
}

const onScreen = () =>
  [page.current, ...page.held].filter(Boolean).map((each) => each.cell);

async function fetchMore() {
  if (page.fetching || page.held.length > AHEAD) return;
  page.fetching = true;
  const asked = JSON.stringify(wanted());
  let more = false;
  try {
    const waiting = page.outbox.waiting.map((item) => item.cell);
    const without = [...new Set([...onScreen(), ...waiting])].join(",");
    const told = await ask("/api/questions", { user: page.user, count: PART, without, ...wanted() });
    if (asked !== JSON.stringify(wanted())) return;
    page.held.push(...told.questions);
    more = told.questions.length === PART;
    showProgress(told.progress);
    prefetch(page.held);
  } catch (error) {
    if (error.status) say(error.message);
  } finally {
    page.fetching = false;
  }
  if (more) fetchMore();
}

async function next() {
  if (page.current) page.past.push(page.current);
  page.current = page.held.shift() || null;
  const more = fetchMore();
  if (!page.current) {
    await more;
    page.current = page.held.shift() || null;
  }
  display();
}

function display() {
  if (page.mode !== "one") return;
  show(find("question"), Boolean(page.current));
  show(find("empty"), !page.current);
  if (page.current) {
    showQuestion(page.current, page.boxed);
    showEvidence(page.boxed ? page.current : null);
    return;
  }
  const filtered = !find("clear").hidden;
  find("empty-title").textContent = filtered ? "Nothing is left of these." : "Nothing is left to ask.";
  find("empty-text").textContent = filtered
    ? "Show all suspects to go on, or choose others above."
    : "Every suspect has an answer. What was found can now be written into the labels.";
}

function put(question, answer, shown) {
  page.outbox.put({
    id: newId(), cell: question.cell, answer, version: question.version, shown,
  });
}

function answer(given) {
  if (page.mode !== "one" || !page.current) return;
  const question = page.current;
  put(question, given, question.box ? `crop+image${page.boxed ? "+box" : ""}` : "image");
  question.given = given;
  question.version += 1;
  flash(given);
  next();
}

function flash(given) {
  const button = document.querySelector(`#question [data-answer=${given}]`);
  button.classList.add("pressed");
  setTimeout(() => button.classList.remove("pressed"), 140);
}

async function undo() {
  const last = page.past.findLastIndex((each) => each.given);
  let question = last >= 0 ? page.past.splice(last, 1)[0] : null;
  if (!question) question = await recall();
  if (!question) {
    announce("There is nothing to take back.");
    return;
  }
  put(question, "undo", "");
  question.version += 1;
  delete question.given;
  page.held = page.held.filter((each) => each.cell !== question.cell);
  if (page.current) page.held.unshift(page.current);
  page.current = question;
  announce(`Taken back: ${question.label}.`);
  if (page.mode !== "one") setMode("one");
  display();
}

// The last answer of before the page was loaded; those that wait to be taken back are passed over.
async function recall() {
  if (page.outbox.unsaved) await settled();
  try {
    const told = await ask("/api/history", { user: page.user, skip: 0 });
    const last = told.answers[0];
    return last ? last.question : null;
  } catch (error) {
    say(error.status ? error.message : "The server is away, and older answers are there.");
    return null;
  }
}

const settled = () => new Promise((resolve) => {
  const look = () => (page.outbox.unsaved && !page.outbox.stopped ? setTimeout(look, 50) : resolve());
  look();
});

function none() {
  if (page.mode === "many") { page.grid.none(); return; }
  if (!page.current) return;
  const others = page.current.others;
  for (const other of others) put({ cell: other.cell, version: 0 }, "absent", "none of these");
  const cells = new Set(others.map((other) => other.cell));
  page.held = page.held.filter((each) => !cells.has(each.cell));
  answer("absent");
}

function back() {
  const question = page.past.pop();
  if (!question) return;
  if (page.current) page.held.unshift(page.current);
  page.current = question;
  display();
}

async function jump() {
  find("unseen").checked = true;
  await refilter();
}

async function refilter() {
  const column = columnOf(find("class").value);
  find("least-shown").textContent = `${find("least").value} %`;
  const chosen = wanted();
  show(find("clear"), Object.values(chosen).some((value) => value !== ""));
  page.held = [];
  page.current = null;
  page.fetching = false;
  if (page.mode === "many") await page.grid.load(column);
  else await next();
}

function setMode(mode) {
  page.mode = mode;
  for (const name of ["one", "many", "audit"]) {
    find(name).setAttribute("aria-pressed", String(name === mode));
  }
  show(find("filters"), mode !== "audit");
  show(find("question"), false);
  show(find("empty"), false);
  show(find("grid"), mode === "many");
  show(find("report"), mode === "audit");
  if (mode === "one") display();
  if (mode === "many") {
    if (columnOf(find("class").value) === null) find("class").value = bestClass();
    refilter();
  }
  if (mode === "audit") showReport(page.user).catch((error) => say(error.message));
}

function bestClass() {
  if (page.current) return page.current.label;
  const left = [...page.state.classes].sort((one, other) => other.left - one.left);
  return left[0].name;
}

function showSaved() {
  const count = page.outbox.unsaved;
  const text = count ? `${count} unsaved` : "All saved";
  const element = find("saved");
  element.classList.toggle("waiting", count > 0);
  element.dataset.unsaved = count;
  if (element.textContent !== text) element.textContent = text;
}

function showProgress(progress) {
  find("sentence").textContent = progress.sentence;
  const share = page.state.suspects ? 1 - progress.left / page.state.suspects : 1;
  find("bar").setAttribute("aria-valuenow", String(Math.round(share * 100)));
  find("bar-fill").style.width = `${Math.max(share * 100, 0.5)}%`;
  if (page.progress && progress.turns !== page.progress.turns && !page.outbox.unsaved) {
    page.held.length = Math.min(page.held.length, SURE); // the rest comes in a better order
    fetchMore();
  }
  page.progress = progress;
}

function say(message) {
  find("banner").textContent = message;
  show(find("banner"), Boolean(message));
}

function announce(message) {
  find("sentence").textContent = message;
}

const conflicts = [];

function meet(item, met) {
  conflicts.push([item, met]);
  if (!find("conflict").open) showConflict();
}

async function showConflict() {
  if (!conflicts.length) return;
  const [item, met] = conflicts[0];
  const question = await ask("/api/question", { cell: item.cell });
  const word = { present: "is there", absent: "is not there" };
  const other = met.others[0];
  find("conflict-text").textContent =
    `${other.who} says that “${question.label}” ${word[other.answer]}; you say that it ${word[item.answer]}.`;
  find("conflict-image").replaceChildren(imageOf(`/image/${question.row}/320`, question.image));
  find("conflict-keep").textContent = `It ${word[item.answer]}`;
  find("conflict-drop").textContent = `Leave it to ${other.who}`;
  find("conflict-keep").onclick = () => endConflict({ ...item, version: met.version });
  find("conflict-drop").onclick = () => endConflict(null);
  find("conflict").showModal();
}

function endConflict(item) {
  conflicts.shift();
  find("conflict").close();
  if (item) page.outbox.put(item);
  showConflict();
}

function startOutbox() {
  page.outbox = new Outbox(page.state.store, page.user, {
    onChange: showSaved,
    onStored: (progress) => {
      if (!find("banner").hidden) retryGone();
      say("");
      showProgress(progress);
    },
    onConflict: meet,
    onRefused: (status, message) => {
      const away = "The server is away. Answers wait in this page and are sent when it is back.";
      say(status ? message : away);
    },
  });
  showSaved();
  page.outbox.work();
}

async function start() {
  let user = "";
  try {
    user = sessionStorage.getItem("tacit/user") || "";
  } catch { /* a browser that keeps nothing */ }
  page.state = await ask("/api/state", { user });
  page.user = page.state.user;
  find("user").value = page.user;
  find("data").textContent = page.state.name;
  document.title = `${page.state.name} · tacit review`;
  find("classes").replaceChildren(
    ...page.state.classes.map((each) => make("option", { value: each.name })),
  );
  page.grid = new Grid(page, { put, wanted, onDone: showProgress, onEmpty: () => {
    show(find("grid"), false);
    show(find("empty"), true);
    find("empty-title").textContent = "Nothing is left of this class.";
    find("empty-text").textContent = "Choose another one above.";
  } });
  startOutbox();
  showProgress(page.state.progress);
  await next();
}

function rename() {
  const name = find("user").value.trim();
  if (!name || name === page.user) { find("user").value = page.user; return; }
  if (page.outbox.unsaved) {
    say("Answers under the other name wait to be stored; change the name when all are saved.");
    find("user").value = page.user;
    return;
  }
  try {
    sessionStorage.setItem("tacit/user", name);
  } catch { /* then it holds until the page is left */ }
  page.user = name;
  page.past = [];
  startOutbox();
  refilter();
}

function toggleZoom() {
  const dialog = find("zoom");
  if (dialog.open) { dialog.close(); return; }
  if (page.mode !== "one" || !page.current) return;
  const { row, image } = page.current;
  find("zoom-close").replaceChildren(imageOf(`/image/${row}/1280`, `${image}, large`));
  dialog.showModal();
}

function openAdding() {
  if (page.mode !== "one" || !page.current) return;
  find("added").value = "";
  find("adding-hint").textContent = "";
  find("adding").showModal();
}

function addClass(event) {
  event.preventDefault();
  const column = columnOf(find("added").value);
  if (column === null) {
    find("adding-hint").textContent = "There is no such class in these labels.";
    return;
  }
  const cell = `${page.current.row}-${column}`;
  const name = page.state.classes[column].name;
  put({ cell, version: 0 }, "present", "added");
  page.current.others = page.current.others.filter((each) => each.cell !== cell);
  page.current.known.push({ label: name, answer: "present", by: page.user });
  page.past.push({ ...page.current, cell, column, label: name, version: 1, given: "present" });
  page.held = page.held.filter((each) => each.cell !== cell);
  find("adding").close();
  announce(`Added: ${name}.`);
  if (page.current.cell === cell) { page.current = null; next(); } else display();
}

const KEYS = {
  y: () => answer("present"),
  n: () => answer("absent"),
  s: () => answer("unsure"),
  u: undo,
  0: none,
  a: openAdding,
  j: jump,
  z: toggleZoom,
  h: () => { page.boxed = !page.boxed; display(); },
  g: () => setMode(page.mode === "many" ? "one" : "many"),
  p: () => setMode(page.mode === "audit" ? "one" : "audit"),
  "/": () => find("class").focus(),
  "?": () => find("keys").showModal(),
  ArrowLeft: back,
  ArrowRight: next,
  Enter: () => page.grid.confirm(),
};

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const target = event.target;
  if (isTyping(target)) {
    // A form of several fields is not sent by Enter.
    if (event.key === "Escape" || (event.key === "Enter" && target.form === find("filters"))) {
      target.blur();
    }
    return;
  }
  const open = document.querySelector("dialog[open]");
  if (open) {
    if (open.id === "zoom" && event.key === "z") toggleZoom();
    return;
  }
  if (event.key.startsWith("Arrow") && target.matches("input")) return;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    if (page.mode === "many") return page.grid.move(event);
    if (page.mode !== "one") return;
  }
  if (event.key.startsWith("Arrow") && page.mode === "many") return page.grid.move(event);
  // A button that has the focus is pressed by Enter, as everywhere.
  if (event.key === "Enter" && (page.mode !== "many" || (target.matches("button") && !target.matches(".cell")))) return;
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (act && page.state) {
    event.preventDefault();
    act();
  }
}

function wire() {
  document.addEventListener("keydown", press);
  for (const button of document.querySelectorAll("#question [data-answer]")) {
    button.addEventListener("click", () => answer(button.dataset.answer));
  }
  const clicks = {
    undo, none, add: openAdding, help: KEYS["?"], "grid-undo": undo, confirm: KEYS.Enter,
    "grid-none": none, "zoom-close": toggleZoom, print: () => window.print(),
    one: () => setMode("one"), many: () => setMode("many"), audit: () => setMode("audit"),
    "adding-cancel": () => find("adding").close(),
  };
  for (const [id, act] of Object.entries(clicks)) find(id).addEventListener("click", act);
  find("crop").addEventListener("click", toggleZoom);
  find("whole").addEventListener("click", toggleZoom);
  find("adding-form").addEventListener("submit", addClass);
  find("filters").addEventListener("submit", (event) => { event.preventDefault(); find("class").blur(); });
  find("filters").addEventListener("change", refilter);
  find("least").addEventListener("input", () => { find("least-shown").textContent = `${find("least").value} %`; });
  find("clear").addEventListener("click", () => {
    find("class").value = page.mode === "many" ? find("class").value : "";
    find("least").value = 0;
    find("named").value = "";
    find("nolabel").checked = find("unseen").checked = false;
    refilter();
  });
  find("user").addEventListener("change", rename);
  window.addEventListener("beforeunload", (event) => {
    if (page.outbox && page.outbox.unsaved) event.preventDefault();
  });
}

wire();
start().catch((error) => say(error.status ? error.message : "The server is away; reload when it is back."));
