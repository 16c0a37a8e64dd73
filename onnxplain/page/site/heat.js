// A heat map over a picture, in the colours of the package's own plots: blue against, red for.

// ColorBrewer's RdBu, turned round: from the strongest against to the strongest for.
const RAMP = ["053061", "2166ac", "4393c3", "92c5de", "d1e5f0", "f7f7f7", "fddbc7", "f4a582", "d6604d", "b2182b", "67001f"].map(
  (hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16)),
);

/** Return red, green, blue of a value in -1..1. */
export function colour(value) {
  const place = ((Math.max(-1, Math.min(1, value)) + 1) / 2) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((from, k) => Math.round(from + (RAMP[low + 1][k] - from) * (place - low)));
}

/** Add up the channels: the signed attribution of each pixel. */
export function flat({ dims, data }, layout) {
  const [channels, height, width] = layout === "NCHW" ? dims.slice(1) : [dims[3], dims[1], dims[2]];
  const heat = new Float64Array(height * width);
  for (let k = 0; k < data.length; k++) heat[layout === "NCHW" ? k % heat.length : Math.floor(k / channels)] += data[k];
  return { heat, height, width };
}

/** Tell which absolute value gets the strongest colour: their 99th percentile, or the largest. */
export function limitOf(values) {
  const size = Float64Array.from(values, Math.abs).filter(Number.isFinite).sort();
  if (!size.length) return 1;
  const place = 0.99 * (size.length - 1);
  const low = Math.floor(place);
  const high = size[Math.min(low + 1, size.length - 1)];
  return size[low] + (high - size[low]) * (place - low) || size.at(-1) || 1;
}

/** Paint a heat map that covers the more, the stronger it is. */
function painted({ heat, height, width }, cover) {
  const limit = limitOf(heat);
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  heat.forEach((value, k) => {
    const strength = Math.min(Math.abs(value) / limit, 1) || 0;
    image.data.set(colour(Math.sign(value) * (0.45 + 0.4 * strength)), 4 * k);
    image.data[4 * k + 3] = Math.round(255 * cover * 0.9 * strength ** 0.6);
  });
  context.putImageData(image, 0, 0);
  return canvas;
}

/** Make a picture a pale grey one, on which colours stand out. */
function pale(context, width, height) {
  const image = context.getImageData(0, 0, width, height);
  const { data } = image;
  for (let k = 0; k < data.length; k += 4) {
    const light = 255 * 0.35 + 0.6 * (0.299 * data[k] + 0.587 * data[k + 1] + 0.114 * data[k + 2]);
    data[k] = data[k + 1] = data[k + 2] = light;
  }
  context.putImageData(image, 0, 0);
}

/**
 * Draw a picture, and a heat map over it.
 *
 * @param canvas where.
 * @param picture what was given: a bitmap, and the region of it that the model sees.
 * @param map from flat(); null: the picture alone.
 * @param side pixels of the longer side.
 */
export function draw(canvas, { bitmap, region }, map, { cover = 1, grey = true, side = 720 } = {}) {
  const scale = side / Math.max(region.width, region.height);
  canvas.width = Math.max(1, Math.round(region.width * scale));
  canvas.height = Math.max(1, Math.round(region.height * scale));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = scale < 4;
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, region.x, region.y, region.width, region.height, 0, 0, canvas.width, canvas.height);
  if (!map) return;
  if (grey) pale(context, canvas.width, canvas.height);
  context.imageSmoothingEnabled = map.width > 64; // few pixels are shown as they are
  context.drawImage(painted(map, cover), 0, 0, canvas.width, canvas.height);
}

/** Say where a heat map is strongest, for those who cannot see it. */
export function inWords({ heat, height, width }, sums) {
  const parts = new Float64Array(9);
  let total = 0;
  let positive = 0;
  heat.forEach((value, k) => {
    const row = Math.floor((3 * Math.floor(k / width)) / height);
    parts[3 * row + Math.floor((3 * (k % width)) / width)] += Math.abs(value);
    total += Math.abs(value);
    positive += Math.max(value, 0);
  });
  if (!total) return "Nothing in the picture counts.";
  const best = parts.indexOf(Math.max(...parts));
  const [upright, across] = [["top", "", "bottom"][Math.floor(best / 3)], ["left", "", "right"][best % 3]];
  const place = best === 4 ? "in the middle" : `at the ${[upright, across].filter(Boolean).join(" ")}`;
  const share = (part) => `${Math.round((100 * part) / total)} %`;
  return `Strongest ${place}, with ${share(parts[best])} of all${sums ? `; ${share(positive)} of it speaks for the score` : ""}.`;
}
