// The page: fetch models and images, measure, answer the images, report, then classify photos.

import { canRun, clockStepUs, loadModel, startRuntime, stopRuntime, timeRuns } from "./bench.js";
import { cropBox, resize } from "./resize.js";

const ROUNDS = 10;
const CLOCK_STEPS = 50; // steps of the clock in a sample, so that its resolution does not matter
const WARM_UP_MS = 1500;
const UNCALIBRATED =
  "Not calibrated: the percentages are too high or too low, and it is never “not sure”.";
const PIXELS_MAX = 16e6; // larger photos exceed some phones' canvases

const $ = (id) => document.getElementById(id);
const show = (id, text) => {
  $(id).textContent = text;
};
let setup;
let phone; // what the PC calls this page
let chosen; // the model for photos, as a promise: it is fetched for the first one

async function get(name) {
  const response = await fetch(name, { cache: "no-store" });
  if (!response.ok) throw new Error(`the PC answered ${response.status} for ${name}`);
  return response;
}

async function post(message) {
  const response = await fetch("post", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ...message, phone }),
  });
  const reply = await response.json();
  if (!response.ok) throw new Error(reply.error ?? `the PC answered ${response.status}`);
  return reply;
}

/** What went wrong, on the phone and (if it still listens) on the PC. */
async function fail(error) {
  show("trouble", error.message ?? String(error));
  show("status", "");
  $("work").hidden = true;
  await post({ kind: "failed", text: String(error.message ?? error).slice(0, 300) }).catch(() => {});
}

async function hello() {
  phone = undefined;
  const about = { agent: navigator.userAgent, cores: navigator.hardwareConcurrency ?? 0 };
  ({ phone } = await post({ kind: "hello", ...about }));
}

/** Let the page paint; a measurement must not freeze it. */
const breathe = () => new Promise((resolve) => setTimeout(resolve, 0));

function progress(share, text) {
  $("bar").value = share;
  show("status", text);
}

async function measure(threads, files, images) {
  progress(0, `Starting the runtime, ${threads === 1 ? "one thread" : `${threads} threads`}`);
  await startRuntime(threads);
  const models = {};
  for (const [precision, bytes] of Object.entries(files)) {
    models[precision] = await loadModel(bytes.slice(), setup.size, threads);
  }
  const names = Object.keys(models);
  const pixels = (i) => images.subarray(i * setup.size ** 2 * 3, (i + 1) * setup.size ** 2 * 3);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  const batch = {};
  const stepUs = clockStepUs();
  const samples = Math.ceil(setup.runs / ROUNDS);
  for (const name of names) {
    models[name].prepare(pixels(0));
    progress(0, `Warming up ${name}`);
    // Browsers start WebAssembly in quick, slow code and replace it while it runs.
    const warm = performance.now() + WARM_UP_MS;
    let onceUs = Infinity;
    while (performance.now() < warm) {
      onceUs = Math.min(onceUs, await timeRuns(models[name], 5));
      await breathe();
    }
    batch[name] = Math.max(1, Math.ceil((CLOCK_STEPS * stepUs) / Math.max(onceUs, 1)));
  }
  for (let round = 0; round < ROUNDS; round++) {
    for (const name of names) {
      progress((round / ROUNDS) * 0.5, `Timing ${name}`);
      await breathe();
      await timeRuns(models[name], 1);
      for (let i = 0; i < samples; i++) times[name].push(await timeRuns(models[name], batch[name]));
    }
  }
  for (const name of names) {
    await post({ kind: "timing", precision: name, threads, times_us: times[name], batch: batch[name] });
  }
  for (const [number, name] of names.entries()) {
    const logits = [];
    for (let i = 0; i < setup.images; i++) {
      models[name].prepare(pixels(i));
      logits.push(Array.from(await models[name].run()));
      if (i % 20 === 0) {
        progress(0.5 + ((number + i / setup.images) / names.length) * 0.5, `Checking ${name}`);
        await breathe();
      }
    }
    const verdict = await post({ kind: "logits", precision: name, threads, logits });
    addRow(name, threads, times[name], verdict);
  }
  return models;
}

function addRow(name, threads, times, verdict) {
  const sorted = times.toSorted ? times.toSorted((a, b) => a - b) : [...times].sort((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)] / 1000;
  const row = document.createElement("tr");
  const cells = [
    threads === 1 ? name : `${name}, ${threads} threads`,
    `${median.toPrecision(3)} ms`,
    `${(100 * verdict.same_top1).toFixed(1)} %`,
  ];
  for (const text of cells) row.appendChild(document.createElement("td")).textContent = text;
  $("rows").appendChild(row);
  $("results").hidden = false;
}

async function start() {
  $("start").disabled = true;
  $("work").hidden = false;
  $("photo").hidden = true; // a photo classified meanwhile would lengthen the times
  stopCamera();
  chosen = undefined; // the runtime starts anew
  try {
    await hello();
    progress(0, "Fetching models and images");
    const files = {};
    for (const precision of setup.precisions) {
      const response = await get(`model-${precision}.tflite`);
      files[precision] = new Uint8Array(await response.arrayBuffer());
    }
    const images = new Uint8Array(await (await get("images.bin")).arrayBuffer());
    let models = await measure(1, files, images);
    const cores = Math.min(navigator.hardwareConcurrency ?? 1, 4);
    if (self.crossOriginIsolated && cores > 1) {
      stopRuntime();
      models = await measure(cores, files, images);
    } else {
      show("remark", "One thread: over plain http a browser gives a page no more.");
    }
    await post({ kind: "done" });
    progress(1, "Done. The PC has the result.");
    chosen = Promise.resolve(models.int8 ?? models.float32);
  } catch (error) {
    await fail(error);
    $("start").disabled = false;
  }
  offerPhotos();
}

/** The int8 model on one thread; a measurement leaves its own behind instead. */
function photoModel() {
  chosen ??= (async () => {
    const response = await get(`model-${setup.precisions.includes("int8") ? "int8" : "float32"}.tflite`);
    await startRuntime(1);
    return loadModel(new Uint8Array(await response.arrayBuffer()), setup.size, 1);
  })();
  return chosen;
}

function offerPhotos() {
  show("uncalibrated", setup.calibration ? "" : UNCALIBRATED);
  $("photo").hidden = false;
  $("camera").hidden = !(self.isSecureContext && navigator.mediaDevices?.getUserMedia);
}

/** Draw a photo or a video's frame upright over white, resize as in training, show the answer. */
async function classify(source, width, height) {
  const shrink = Math.min(1, Math.sqrt(PIXELS_MAX / (width * height)));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * shrink);
  canvas.height = Math.round(height * shrink);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.fillStyle = "#fff";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  const { left, top, columns, rows } = cropBox(canvas.width, canvas.height, setup.crop);
  const decoded = context.getImageData(left, top, columns, rows).data;
  const pixels = resize(decoded, columns, rows, setup.size);
  const model = await photoModel();
  model.prepare(pixels);
  const started = performance.now();
  const logits = await model.run();
  const milliseconds = performance.now() - started;
  showSeen(pixels);
  showAnswer(logits);
  show("took", `${milliseconds.toFixed(1)} ms for the network on this phone`);
}

function showSeen(pixels) {
  const seen = $("seen");
  seen.width = seen.height = setup.size;
  seen.hidden = false;
  const data = new ImageData(setup.size, setup.size);
  for (let i = 0, j = 0; i < pixels.length; i += 3, j += 4) {
    data.data.set([pixels[i], pixels[i + 1], pixels[i + 2], 255], j);
  }
  seen.getContext("2d").putImageData(data, 0, 0);
}

/** The same words as `swin2mcu predict`: swin2mcu/common/answer.py says what they mean. */
function showAnswer(logits) {
  const temperature = setup.calibration?.temperature ?? 1;
  const logit = (x) => (setup.gives_probabilities ? Math.log(Math.max(x, 1 / 512)) : x);
  const scaled = Array.from(logits, (x) => logit(x) / temperature);
  const top = Math.max(...scaled);
  const powers = scaled.map((value) => Math.exp(value - top));
  const total = powers.reduce((sum, power) => sum + power, 0);
  const evidence = top + Math.log(total);
  const unsure = setup.calibration ? evidence < setup.calibration.threshold : false;
  const ranked = setup.classes
    .map((name, i) => ({ name, share: powers[i] / total }))
    .sort((a, b) => b.share - a.share)
    .slice(0, 3);
  show("verdict", unsure ? "not sure" : "");
  $("answer").replaceChildren(
    ...ranked.map(({ name, share }) => {
      const item = document.createElement("li");
      item.textContent = `${name.replaceAll("_", " ")} ${(100 * share).toFixed(0)}%`;
      return item;
    }),
  );
}

function stopCamera() {
  const video = $("video");
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  video.hidden = true;
}

async function photoChosen() {
  const file = $("file").files[0];
  if (!file) return;
  show("trouble", "");
  try {
    await photoModel();
  } catch (error) {
    chosen = undefined;
    show("trouble", `No model (${error.message}): start bench_phone.py again.`);
    return;
  }
  try {
    // Its numbers as they are, whatever its color profile, as in training.
    const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
    const bitmap = await createImageBitmap(file, options);
    await classify(bitmap, bitmap.width, bitmap.height);
    bitmap.close();
  } catch {
    show("trouble", "This file is no picture the browser can read.");
  }
}

async function liveCamera() {
  show("trouble", "");
  const video = $("video");
  try {
    video.srcObject = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment" },
    });
  } catch (error) {
    show("trouble", `No camera (${error.name}): choose a photo instead.`);
    return;
  }
  video.hidden = false;
  await video.play();
  $("camera").disabled = true;
  try {
    while (video.srcObject?.active) {
      await classify(video, video.videoWidth, video.videoHeight);
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  } catch (error) {
    chosen = undefined;
    stopCamera();
    show("trouble", `No answer (${error.message}): start bench_phone.py again.`);
  } finally {
    $("camera").disabled = false;
  }
}

async function open() {
  try {
    setup = await (await get("setup.json")).json();
  } catch {
    show("about", "");
    show("trouble", "The PC does not answer: start bench_phone.py again and scan the new code.");
    return;
  }
  const { name, images, size } = setup;
  show("about", `${name}: times the model on this phone and checks ${images} images of ${size} by ${size} pixels against the PC. Keep the screen on.`);
  if (!canRun()) {
    await hello().catch(() => {}); // the PC takes a failure only from a phone that it knows
    await fail(new Error("This browser has no WebAssembly SIMD: update it, or use another one."));
    return;
  }
  $("start").disabled = false;
  offerPhotos();
  if (location.hash === "#start") await start(); // bench_phone.py --chromium: nobody presses the button
}

$("start").addEventListener("click", start);
$("file").addEventListener("change", photoChosen);
$("camera").addEventListener("click", liveCamera);
open();
