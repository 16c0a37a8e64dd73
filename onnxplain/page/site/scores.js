// What the model says: the highest classes, of which one is explained; or a single number.
import { $, make, written } from "./dom.js";

const TOP = 5;

/** Name a class. */
export const nameOf = (index, labels) => (labels && labels[index] !== undefined ? labels[index] : `class ${index}`);

/** Tell whether scores are probabilities. */
const likely = (scores) => scores.every((s) => s >= 0 && s <= 1) && Math.abs(scores.reduce((a, b) => a + b, 0) - 1) < 1e-3;

/** Return the number of the highest score: of equal ones the first. */
export const highest = (scores) => scores.indexOf(Math.max(...scores));

/**
 * Show scores.
 *
 * @param choose called with a class, when one is chosen.
 */
export function showScores(scores, labels, chosen, choose) {
  $("says").hidden = false;
  if (scores.length === 1) {
    $("scores").replaceChildren(make("p", { className: "single" }, written(scores[0])));
    return;
  }
  const order = [...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, TOP);
  if (!order.includes(chosen)) order.push(chosen);
  const percent = likely(scores);
  const [low, high] = percent ? [0, 1] : [Math.min(0, ...scores), Math.max(...scores)];
  const list = make("fieldset", { className: "scores" }, make("legend", {}, percent ? "Explain the class" : "Explain the class (scores, not per cent)"));
  for (const index of order) {
    const number = percent ? `${(100 * scores[index]).toFixed(1)} %` : written(scores[index]);
    const bar = make("i");
    bar.style.width = `${(100 * (scores[index] - low)) / (high - low || 1)}%`;
    const radio = make("input", { type: "radio", name: "target", value: index, checked: index === chosen });
    radio.addEventListener("change", () => choose(index));
    list.append(make("label", { className: "score" }, radio, make("span", { className: "name" }, nameOf(index, labels)),
      make("span", { className: "number" }, number), make("span", { className: "bar", ariaHidden: "true" }, bar)));
  }
  $("scores").replaceChildren(list, ...(scores.length > order.length ? other(scores, labels, choose) : []));
}

/** Offer all classes. */
function other(scores, labels, choose) {
  const options = [...scores.keys()].map((k) => make("option", { value: k }, nameOf(k, labels)));
  const select = make("select", { id: "other" }, make("option", { value: "", selected: true }, "Another class\u2026"), ...options);
  select.addEventListener("change", () => {
    if (select.value !== "") choose(Number(select.value));
  });
  return [make("div", { className: "other" }, make("label", { htmlFor: "other", className: "unseen" }, "Another class to explain"), select)];
}
