// How far the review is, on a page that can be printed.

import { ask } from "./api.js";
import { find, make } from "./dom.js";

export async function showReport(user) {
  const told = await ask("/api/report", { user });
  find("report-lead").replaceChildren(...told.sentences.map((each) => make("span", {}, `${each} `)));
  const head = make("tr", {}, ...told.columns.map((name) => make("th", { scope: "col" }, name)));
  const rows = told.rows.map(([name, ...cells]) => make("tr", {},
    make("th", { scope: "row" }, make("bdi", {}, name)),
    ...cells.map((cell) => make("td", { class: "number" }, cell))));
  find("report-table").replaceChildren(make("thead", {}, head), make("tbody", {}, ...rows));
}
