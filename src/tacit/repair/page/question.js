// One question: the crop, the whole image, what is known, examples and look-alikes.

import { ask } from "./api.js";
import { find, imageOf, make, show } from "./dom.js";

const TOGETHER = 3;

const cropOf = ({ row, column }, label, image) =>
  imageOf(`/crop/${row}/${column}/640`, `Part of ${image}, perhaps with ${label}`);
const wholeOf = ({ row, image }) => imageOf(`/image/${row}/640`, `The whole image ${image}`);
const thumbOf = (row, description) => imageOf(`/image/${row}/160`, description);

export function showQuestion(question, boxed) {
  const { label, image, box } = question;
  find("asked").replaceChildren(make("em", {}, make("bdi", {}, label)), ": is it here?");
  find("sure").textContent = sureness(question, boxed);
  find("crop").replaceChildren(box ? cropOf(question, label, image) : wholeOf(question));
  find("caption").replaceChildren(make("bdi", {}, image));
  const holder = find("whole-holder");
  holder.hidden = !box;
  if (box) find("whole").replaceChildren(wholeOf(question), ...(boxed ? [outline(box)] : []));
  showKnown(question);
  find("examples-title").replaceChildren("Known: ", make("bdi", {}, label));
  find("examples").replaceChildren(
    ...question.examples.map((row) => make("figure", {}, thumbOf(row, `Known example of ${label}`))),
  );
  find("alike").replaceChildren(
    ...question.alike.map((each) => make("figure", {}, thumbOf(each.row, each.label),
      make("figcaption", {}, make("bdi", {}, each.label)))),
  );
  find("alike").parentElement.hidden = !question.alike.length;
  find("examples").parentElement.hidden = !question.examples.length;
  markGiven(question.given);
}

// What the model thinks would sway the answer, and tell which questions were drawn at random.
function sureness({ posterior, given }, asked) {
  const said = { present: "You said yes.", absent: "You said no.", unsure: "You were not sure." };
  if (given) return said[given];
  if (posterior === null || !asked) return "";
  return `Certainty: ${Math.round(posterior * 100)} %.`;
}

// Read when it is asked for alone, as what speaks for a suspect would sway the answer, too.
export async function showEvidence(question) {
  const list = find("evidence");
  show(list, false);
  if (!question) return;
  const asked = list.dataset.cell = question.cell;
  try {
    const { sentences } = await ask("/api/evidence", { cell: question.cell });
    if (list.dataset.cell !== asked) return;
    list.replaceChildren(...sentences.map((each) => make("li", {}, each)));
    show(list, sentences.length > 0);
  } catch { /* the server is away, and the question can be answered without it */ }
}

function markGiven(given) {
  for (const button of document.querySelectorAll("#question [data-answer]")) {
    button.setAttribute("aria-pressed", String(button.dataset.answer === given));
  }
}

function showKnown({ known, others }) {
  const chips = known.map(({ label, answer, by }) => make("span",
    { class: `chip ${answer}`, title: by === "file" ? "from the labels" : `said by ${by}` },
    make("bdi", {}, answer === "present" ? label : answer === "absent" ? `no ${label}` : `${label}?`),
    ...(by === "file" ? [] : [make("small", {}, by)])));
  const asked = others.map(({ label }) => make("span",
    { class: "chip asked", title: "suspected, too" }, make("bdi", {}, `${label}?`)));
  const nothing = make("span", { class: "hint" }, "No label yet");
  find("known").replaceChildren(...(chips.length ? chips : [nothing]), ...asked);
}

function outline([left, top, right, bottom]) {
  const element = make("div", { class: "outline" });
  const percent = (share) => `${share * 100}%`;
  Object.assign(element.style, {
    left: percent(left), top: percent(top), width: percent(right - left), height: percent(bottom - top),
  });
  return element;
}

// A few at a time, the next one first.
let fetching = 0;
const waiting = [];

export function prefetch(questions) {
  waiting.length = 0;
  for (const question of questions) {
    waiting.push(() => wholeOf(question));
    if (question.box) waiting.push(() => cropOf(question, question.label, question.image));
    for (const row of question.examples) waiting.push(() => thumbOf(row, ""));
    for (const { row } of question.alike) waiting.push(() => thumbOf(row, ""));
  }
  for (let n = fetching; n < TOGETHER; n += 1) fetchOne();
}

function fetchOne() {
  const start = waiting.shift();
  if (!start) return;
  fetching += 1;
  const image = start();
  const end = () => { fetching -= 1; fetchOne(); };
  if (image.complete) {
    queueMicrotask(end);
  } else {
    image.addEventListener("load", end, { once: true });
    image.addEventListener("error", end, { once: true });
  }
}
