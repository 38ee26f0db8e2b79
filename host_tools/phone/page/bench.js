// LiteRT's WebAssembly build on the phone's CPU: load, time, answer.

import { loadLiteRt, loadAndCompile, unloadLiteRt, Tensor } from "@litertjs/core";

// A module that returns a v128: browsers without WebAssembly SIMD refuse it.
const SIMD = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15,
  253, 98, 11,
]);

export function canRun() {
  return typeof WebAssembly === "object" && WebAssembly.validate(SIMD);
}

let started = false;

/** Start the runtime anew; threads need a page that is isolated (https with the right headers). */
export async function startRuntime(threads) {
  if (started) stopRuntime();
  await loadLiteRt(new URL("npm/@litertjs/core/wasm/", document.baseURI).href, {
    threads: threads > 1,
  });
  started = true;
}

export function stopRuntime() {
  unloadLiteRt();
  started = false;
}

/** A model's bytes → {answer(pixels) → Promise of logits}. Pixels are RGB bytes. */
export async function loadModel(bytes, size, threads) {
  const model = await loadAndCompile(bytes, {
    accelerator: "wasm",
    cpuOptions: { numThreads: threads },
  });
  const real = new Float32Array(size * size * 3);
  return {
    prepare(pixels) {
      for (let i = 0; i < real.length; i++) real[i] = (pixels[i] - 128) / 128;
    },
    async run() {
      const input = new Tensor(real, [1, size, size, 3]);
      const [output] = await model.run(input);
      const logits = output.toTypedArray().slice();
      input.delete();
      output.delete();
      return logits;
    },
  };
}

/** The smallest step of this browser's clock in microseconds; pages are given a coarse one. */
export function clockStepUs() {
  let smallest = Infinity;
  for (let i = 0; i < 20; i++) {
    const start = performance.now();
    let now = start;
    while (now - start < 0.001) now = performance.now(); // nanoseconds are rounding, not time
    smallest = Math.min(smallest, (now - start) * 1000);
  }
  return smallest;
}

/** Mean microseconds of `count` runs. */
export async function timeRuns(model, count) {
  const start = performance.now();
  for (let i = 0; i < count; i++) await model.run();
  return ((performance.now() - start) * 1000) / count;
}
