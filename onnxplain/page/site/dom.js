// What the parts of the page have in common.

/** Return an element by its id. */
export const $ = (id) => document.getElementById(id);

/** Make an element: properties, and children (elements or texts). */
export function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** An error whose message is for the visitor. */
export class Told extends Error {}

/** Write a number in four digits. */
export function written(number) {
  if (!Number.isFinite(number)) return String(number);
  const size = Math.abs(number);
  return size !== 0 && (size >= 1e6 || size < 1e-4) ? number.toExponential(2) : String(Number(number.toPrecision(4)));
}

/** Write it with its sign. */
export const signed = (number) => (number > 0 ? "+" : "") + written(number).replace("-", "\u2212");
