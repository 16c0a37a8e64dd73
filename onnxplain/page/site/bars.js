// Numbers as bars to both sides, in a table that can be read aloud.
import { make, signed } from "./dom.js";

const MOST = 20;

/**
 * Draw bars, the longest first.
 *
 * @param rows [{name, value, shown}]: what the bar is for, how long it is, and what stands behind the name.
 * @param caption of the table.
 */
export function bars(rows, caption) {
  const order = [...rows].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const longest = Math.max(...order.map((r) => Math.abs(r.value)), Number.MIN_VALUE);
  const body = make("tbody");
  for (const { name, value, shown } of order.slice(0, MOST)) {
    const bar = make("i", { className: value < 0 ? "against" : "for" });
    bar.style.width = `${(50 * Math.abs(value)) / longest}%`;
    body.append(make("tr", {},
      make("th", { scope: "row" }, name, ...(shown === undefined ? [] : [make("span", {}, ` = ${shown}`)])),
      make("td", {}, make("div", { className: "track", ariaHidden: "true" }, bar)),
      make("td", { className: "number" }, signed(value))));
  }
  const head = make("tr", {}, ...["Column", "Direction", "Attribution"].map((text) => make("th", { scope: "col" }, text)));
  return make("table", { className: "bars" }, make("caption", { className: "unseen" }, caption), make("thead", { className: "unseen" }, head), body);
}

/** Say how many bars were left out. */
export const leftOut = (rows) => (rows.length > MOST ? ` The ${MOST} strongest of ${rows.length} are shown.` : "");
