// Pillow's antialiased BILINEAR resize, to the bit: what the network was trained on.
//
// Two passes, each rounded to bytes; a triangle filter as wide as the shrinking factor; weights in
// fixed point with 22 fractional bits.

const BITS = 22;

/** RGBA bytes (width × height) → RGB bytes (size × size). */
export function resize(rgba, width, height, size) {
  const image = { bytes: rgba, width, height, step: 4 };
  // Pillow resizes down first where that makes the other pass much cheaper (Resample.c).
  const downFirst = height > size && height - size > 2 * (width - size);
  const result = downFirst
    ? resizeAcross(resizeDown(image, size), size)
    : resizeDown(resizeAcross(image, size), size);
  return result.bytes;
}

/** The part of a photo that becomes the square input: all of it, or the centered square. */
export function cropBox(width, height, crop) {
  if (crop !== "center") return { left: 0, top: 0, columns: width, rows: height };
  const side = Math.min(width, height);
  const left = Math.floor((width - side) / 2);
  const top = Math.floor((height - side) / 2);
  return { left, top, columns: side, rows: side };
}

function resizeAcross({ bytes, width, height, step }, size) {
  const positions = weights(width, size);
  const result = new Uint8Array(size * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const { first, taps } = positions[x];
      blend(taps, bytes, (y * width + first) * step, step, result, (y * size + x) * 3);
    }
  }
  return { bytes: result, width: size, height, step: 3 };
}

function resizeDown({ bytes, width, height, step }, size) {
  const positions = weights(height, size);
  const result = new Uint8Array(width * size * 3);
  for (let y = 0; y < size; y++) {
    const { first, taps } = positions[y];
    for (let x = 0; x < width; x++) {
      const start = (first * width + x) * step;
      blend(taps, bytes, start, width * step, result, (y * width + x) * 3);
    }
  }
  return { bytes: result, width, height: size, step: 3 };
}

function blend(taps, source, start, step, target, at) {
  for (let channel = 0; channel < 3; channel++) {
    let sum = 2 ** (BITS - 1); // a half, so that cutting the fraction off rounds
    for (let i = 0, from = start + channel; i < taps.length; i++, from += step) {
      sum += source[from] * taps[i];
    }
    target[at + channel] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** BITS)));
  }
}

/** For each output position: the first input position and the weights from there on. */
function weights(from, to) {
  const scale = from / to;
  const reach = Math.max(scale, 1);
  const all = [];
  for (let position = 0; position < to; position++) {
    const center = (position + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const raw = [];
    for (let x = first; x < end; x++) {
      raw.push(Math.max(0, 1 - Math.abs((x - center + 0.5) * (1 / reach))));
    }
    const total = raw.reduce((sum, weight) => sum + weight, 0);
    all.push({ first, taps: raw.map((weight) => Math.trunc(0.5 + (weight / total) * 2 ** BITS)) });
  }
  return all;
}
