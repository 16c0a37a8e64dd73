// Pictures: chosen, dropped or pasted; what the model gets of them, and how the answer is drawn.
import { $, make, Told } from "./dom.js";
import { draw, flat, inWords } from "./heat.js";

/** Tell which part of a picture the model sees, as the file that prepares pictures cuts it. */
export function regionOf(width, height, { size, crop }) {
  if (crop === null) return { x: 0, y: 0, width, height };
  const factor = (Math.max(size[0] / height, size[1] / width) * crop) / 224;
  const [high, wide] = [Math.max(size[0], Math.round(height * factor)), Math.max(size[1], Math.round(width * factor))];
  const [top, left] = [Math.floor((high - size[0]) / 2), Math.floor((wide - size[1]) / 2)];
  const [down, across] = [height / high, width / wide];
  return { x: left * across, y: top * down, width: size[1] * across, height: size[0] * down };
}

/** Read the pixels of a picture: over white where it is transparent, and no larger than need be. */
export async function pixelsOf(blob, form) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new Told("This is no picture that the browser can read. PNG, JPEG and WebP work everywhere.");
  }
  const scale = Math.min(1, form.most / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((n) => Math.max(1, Math.round(n * scale)));
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
  if (form.mode !== "RGBA") {
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
  }
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const pixels = new Uint8Array(width * height * form.channels);
  for (let k = 0, to = 0; k < data.length; k += 4) {
    const [red, green, blue] = [data[k], data[k + 1], data[k + 2]];
    if (form.mode === "L") pixels[to++] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    else for (let c = 0; c < form.channels; c++) pixels[to++] = data[k + c];
  }
  return { bitmap, pixels, width, height, region: regionOf(bitmap.width, bitmap.height, form), shrunk: scale < 1 };
}

export class ImageInput {
  #picture = null;
  #map = null;

  /** @param give called with what the worker is to do, once there is a picture. */
  constructor(form, give) {
    this.form = form;
    this.give = give;
    $("file").addEventListener("change", ({ target }) => {
      if (target.files[0]) this.#open(target.files[0]);
      target.value = "";
    });
    this.#drops();
    document.addEventListener("paste", ({ clipboardData }) => {
      const file = [...(clipboardData?.files ?? [])].find((f) => f.type.startsWith("image/"));
      if (file) this.#open(file);
    });
    for (const dial of ["cover", "grey"]) $(dial).addEventListener("input", () => this.#paint());
    form.examples.forEach(({ file, name }) => {
      const button = make("button", { type: "button", ariaPressed: "false" }, make("img", { src: file, alt: name }));
      button.addEventListener("click", async () => this.#open(await (await fetch(file)).blob(), button));
      $("examples").append(button);
    });
  }

  /** Begin with the first example. */
  begin() {
    $("examples")?.firstElementChild?.click();
  }

  #drops() {
    const stop = (event, over) => {
      event.preventDefault();
      $("drop").classList.toggle("over", over);
    };
    for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => stop(event, true));
    document.addEventListener("dragleave", (event) => stop(event, event.relatedTarget !== null));
    document.addEventListener("drop", (event) => {
      stop(event, false);
      const [file] = event.dataTransfer.files;
      if (file) this.#open(file);
    });
  }

  #open(blob, button = null) {
    for (const each of $("examples")?.children ?? []) each.ariaPressed = String(each === button);
    this.give(async () => {
      const picture = await pixelsOf(blob, this.form);
      this.#picture = picture;
      this.#map = null;
      $("thumb").hidden = false;
      draw($("thumb"), { ...picture, region: { x: 0, y: 0, width: picture.bitmap.width, height: picture.bitmap.height } }, null, { side: 440 });
      const { pixels, height, width } = picture;
      const dims = [1, height, width, this.form.channels];
      const note = picture.shrunk ? `The picture was brought from ${picture.bitmap.width} \u00d7 ${picture.bitmap.height} to ${width} \u00d7 ${height} pixels first.` : "";
      return { job: "prepare", given: { input: this.form.input, picture: { type: "uint8", dims, data: pixels } }, note };
    });
  }

  /** Show what a method found. */
  show(values, method, target) {
    this.#map = flat(values[this.form.input], this.form.layout);
    const one = this.#map.heat.every((v) => v >= 0);
    $("ramp").classList.toggle("one", one);
    $("low").textContent = one ? "nothing" : method.sums ? "against" : "negative";
    $("high").textContent = one ? "strong" : method.sums ? `for ${target}` : "positive";
    const words = inWords(this.#map, method.sums);
    $("said").textContent = words;
    $("heat").setAttribute("aria-label", `Heat map of ${method.title} for ${target}. ${words}`);
    this.#paint();
  }

  /** Draw a small one beside a method's name. */
  thumb(canvas, values) {
    draw(canvas, this.#picture, flat(values[this.form.input], this.form.layout), { side: 92 });
  }

  #paint() {
    if (this.#picture) draw($("heat"), this.#picture, this.#map, { cover: $("cover").value / 100, grey: $("grey").checked });
  }
}
