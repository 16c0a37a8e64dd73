// Rows of a table: a field for each column; the answer as bars.
import { bars, leftOut } from "./bars.js";
import { $, make, Told, written } from "./dom.js";
import { tensorOf } from "./tensors.js";

export class RowInput {
  #fields = [];
  #row = [];

  constructor(form, give) {
    this.form = form;
    this.give = give;
    form.fields.forEach((field, k) => this.#add(field, k));
    if (form.examples.length) this.#examples();
    $("give").addEventListener("submit", () => this.#send());
  }

  begin() {
    if (!this.form.examples.length) return;
    this.#fill(this.form.examples[0]);
    this.#send();
  }

  #add({ name, kind, choices }, k) {
    const id = `field${k}`;
    const number = kind === "text" ? {} : { type: "number", step: kind === "whole" ? "1" : "any" };
    const made = choices.length
      ? make("select", { id }, ...choices.map((c) => make("option", { value: c }, c)))
      : make("input", { id, autocomplete: "off", type: "text", ...number });
    this.#fields.push(made);
    $("fields").append(make("div", {}, make("label", { htmlFor: id }, name), made));
  }

  #examples() {
    const options = this.form.examples.map((_, k) => make("option", { value: k }, `row ${k + 1}`));
    const choice = make("select", { id: "example" }, ...options);
    choice.addEventListener("change", () => {
      this.#fill(this.form.examples[choice.value]);
      this.#send();
    });
    $("chooser").append(make("label", { htmlFor: "example" }, "Example"), choice);
  }

  #fill(row) {
    row.forEach((value, k) => {
      // float32 numbers are shown in as few digits as tell them apart
      const text = typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(7))) : value ?? "";
      this.#fields[k].value = text;
    });
  }

  #send() {
    this.give(async () => {
      this.#row = this.form.fields.map((field, k) => this.#read(field, this.#fields[k]));
      const feeds = {};
      for (const { name, dtype, shape } of this.form.inputs) {
        const values = this.form.fields.map((f, k) => [f, this.#row[k]]).filter(([f]) => f.input === name);
        feeds[name] = tensorOf(dtype, shape, values.map(([, value]) => value));
      }
      return { job: "take", given: { feeds }, note: "" };
    });
  }

  #read({ name, kind, missing }, field) {
    const text = field.value.trim();
    field.removeAttribute("aria-invalid");
    const wrong = (message) => {
      field.setAttribute("aria-invalid", "true");
      field.focus();
      throw new Told(message);
    };
    if (kind === "text") return field.value;
    if (field.validity.badInput) wrong(`${name}: this is no number.`);
    if (text === "") return missing && kind === "number" ? NaN : wrong(`${name} is empty: fill in a number.`);
    const value = Number(text);
    if (kind === "whole" && !Number.isSafeInteger(value)) wrong(`${name}: the model takes whole numbers there.`);
    return value;
  }

  show(values, method, target) {
    const rows = [];
    this.form.fields.forEach(({ name, input, place, explained }, k) => {
      const value = this.#row[k];
      const shown = typeof value === "number" ? (Number.isNaN(value) ? "missing" : written(value)) : value;
      if (explained) rows.push({ name, value: values[input].data[place], shown });
    });
    $("drawn").replaceChildren(bars(rows, `${method.title} for ${target}`));
    const sides = method.sums ? `Red speaks for ${target}, blue against it.` : "Red is positive, blue negative.";
    $("said").textContent = sides + leftOut(rows);
  }
}
