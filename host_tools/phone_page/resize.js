// Pillow's antialiased BILINEAR resize, to the bit: what the network was trained on.
//
// Two passes, first across, then down, each rounded to bytes; triangle filter as wide as the
// shrinking factor; weights in fixed point with 22 fractional bits. (libImaging/Resample.c)

const BITS = 22;

/** RGBA bytes (width × height) → RGB bytes (size × size). */
export function resize(rgba, width, height, size) {
  const across = weights(width, size);
  const narrow = new Uint8Array(size * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < size; x++) {
      const { first, taps } = across[x];
      blend(taps, rgba, (y * width + first) * 4, 4, narrow, (y * size + x) * 3);
    }
  }
  const down = weights(height, size);
  const result = new Uint8Array(size * size * 3);
  for (let y = 0; y < size; y++) {
    const { first, taps } = down[y];
    for (let x = 0; x < size; x++) {
      blend(taps, narrow, (first * size + x) * 3, size * 3, result, (y * size + x) * 3);
    }
  }
  return result;
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
