// The page: takes images from the hand, the clipboard and the camera, and shows what the server says of them.
import { answerTo, health, Refusal, useKey } from "./api.js";
import { clearBoxes, drawBoxes } from "./boxes.js";
import { Camera, cameraTrouble, whyNot } from "./camera.js";
import { Stats } from "./stats.js";
import { $, announce, best, percent, preview, remember, showAnswer, showError, showState, showStats } from "./view.js";

const HEALTH_EVERY_MS = 10_000;
const SPEAK_EVERY_MS = 3_000; // a camera's answers change faster than anyone can listen
const stats = new Stats();
const camera = new Camera($("video"));
const waiting = []; // images not yet asked about, in order
let server = null; // the last good answer of /healthz
let current = null; // the image on show: {blob, name}
let busy = false;
let done = 0; // how many were shown since nothing waited
let spoken = { label: "", at: 0 };

// --- images, one after another ---

function take(files) { enqueue([...files].map((blob) => ({ blob, name: blob.name || "pasted image" }))); }

function enqueue(images) {
  if (!images.length) return;
  stopCamera();
  if (!waiting.length) done = 0;
  waiting.push(...images);
  if (!busy) work();
}

async function work() {
  busy = true;
  while (waiting.length) {
    const all = done + waiting.length;
    $("progress").textContent = all > 1 ? `${done + 1} of ${all}` : "";
    const image = waiting[0];
    const outcome = await show(image);
    if (outcome.error?.status === 401) break; // it stays the first of those waiting until there is a key
    if (waiting[0] === image) waiting.shift(); // else the camera has begun and they were dropped
    done += 1;
  }
  busy = false;
}

// Asks about an image and shows the answer or the error, here and in the strip.
async function show(image) {
  current = image;
  clearBoxes();
  preview(image.blob, image.name);
  $("answer").classList.add("asking");
  const outcome = await askAbout(image.blob);
  $("answer").classList.remove("asking");
  if (camera.running) return outcome;
  present(outcome);
  if (outcome.error?.status === 401) return outcome;
  const first = outcome.answer && best(outcome.answer);
  const text = first?.label ?? outcome.error?.code ?? "no answer";
  remember({ ...image, text: text || "no answer", bad: outcome.error }, () => again(image, outcome));
  announce(first ? `${first.label}, ${percent(first.score)}` : ""); // an error is an alert by itself
  return outcome;
}

// Returns {answer, tripMs} or {error}; counts either.
async function askAbout(blob) {
  try {
    const reply = await answerTo(blob, { model: $("model").value, topK: topK(), task: task() });
    const { cached = false, timing_ms: timing } = reply.answer;
    stats.answer({ tripMs: reply.tripMs, totalMs: timing?.total, cached });
    return reply;
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    stats.error();
    if (error.status === 401) askForKey();
    return { error };
  } finally {
    showStats(stats.summary());
  }
}

function present(outcome) {
  clearBoxes();
  if (outcome.error) return showError(outcome.error);
  showAnswer(outcome, server);
  if (outcome.answer.detections) overlay(outcome.answer.detections);
}

// The boxes count in pixels of what was sent: the upright image, or the camera's frame.
async function overlay(detections) {
  if (camera.running) return drawBoxes($("video"), camera.size, detections);
  const image = $("preview");
  await image.decode().catch(() => null); // an image that the browser cannot show has no place for boxes
  if (image.naturalWidth) drawBoxes(image, { width: image.naturalWidth, height: image.naturalHeight }, detections);
}

function again(image, outcome) {
  stopCamera();
  current = image;
  preview(image.blob, image.name);
  present(outcome);
}

function askAgain() {
  if (current && !camera.running && !busy) enqueue([current]);
}

// --- the camera ---

async function startCamera() {
  try {
    await camera.start(onFrame, stopCamera);
  } catch (error) {
    camera.stop();
    $("camera-reason").textContent = cameraTrouble(error);
    $("camera-reason").hidden = false;
    return;
  }
  waiting.length = 0;
  clearBoxes();
  current = null;
  spoken = { label: "", at: 0 };
  $("progress").textContent = "";
  showCamera(true);
}

function stopCamera() {
  if (!camera.running) return;
  camera.stop();
  clearBoxes();
  showCamera(false);
}

function showCamera(on) {
  $("video").hidden = !on;
  $("preview").hidden = true;
  $("invite").textContent = on ? "Every frame is asked about, one at a time" : "Drop images here or paste one";
  $("camera").textContent = on ? "Stop camera" : "Start camera";
  $("camera").setAttribute("aria-pressed", String(on));
  $("camera-reason").hidden = true;
}

async function onFrame(blob) {
  const outcome = await askAbout(blob);
  if (!camera.running) return;
  present(outcome);
  if (outcome.answer) return noteFrame(blob, outcome);
  const { status, retryAfterS } = outcome.error;
  if (status === 429 || status >= 500) await new Promise((wake) => setTimeout(wake, Math.max(1, retryAfterS) * 1000));
  else stopCamera(); // asking again would bring the same
}

// A frame is told and kept when the camera sees something else than before, and not too often.
function noteFrame(blob, outcome) {
  const first = best(outcome.answer);
  const now = performance.now();
  if (!first || first.label === spoken.label || now - spoken.at < SPEAK_EVERY_MS && spoken.at) return;
  spoken = { label: first.label, at: now };
  const image = { blob, name: "camera frame" };
  remember({ ...image, text: first.label }, () => again(image, outcome));
  announce(`${first.label}, ${percent(first.score)}`);
}

// --- the server, its models, the key ---

async function checkHealth() {
  try {
    server = await health();
    const { in_flight: inside, queue } = server;
    const load = inside || queue ? `, ${inside ?? 0} in work, ${queue ?? 0} waiting` : "";
    showState(`${server.degraded ? "degraded" : "ready"}${load}`, server.degraded ? "warn" : "good");
    offerModels(server);
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    showState(error.status === 503 ? "not ready" : "no answer", "bad");
  }
}

function offerModels({ model, models = [], num_classes: classes }) {
  const names = models.map((one) => one.name);
  const offered = [...$("model").options].map((option) => option.value);
  if (names.length > 1 && names.join("\n") !== offered.join("\n")) {
    $("model").replaceChildren(...models.map((one) => new Option([one.name, one.precision].filter(Boolean).join(" · "), one.name)));
    $("model").value = names.includes(model) ? model : names[0];
  }
  $("model-field").hidden = names.length < 2;
  $("top-k").max = Math.min(1000, chosen({ models })?.num_classes ?? classes ?? 1000);
  $("top-k-field").hidden = task() === "detect";
}

// What the chosen model does; a server that does not say names images.
function task() {
  return chosen(server ?? {})?.task ?? server?.task ?? "classify";
}

const chosen = ({ models = [] }) => models.find((one) => one.name === $("model").value);

function topK() {
  const { value, max } = $("top-k");
  return Math.min(Math.max(1, Math.round(Number(value)) || 5), Number(max));
}

function askForKey() {
  if (!$("key-form").hidden) return;
  $("key-form").hidden = false;
  $("key").focus();
}

// --- wiring ---

$("choose").addEventListener("click", () => $("file").click());
$("drop").addEventListener("click", () => $("file").click()); // for the mouse: the button beside it is the way for all
$("file").addEventListener("change", ({ target }) => { take(target.files); target.value = ""; }); // the same file may come again
$("camera").addEventListener("click", () => (camera.running ? stopCamera() : startCamera()));
$("model").addEventListener("change", () => { if (server) offerModels(server); askAgain(); });
$("top-k").addEventListener("change", () => { $("top-k").value = topK(); askAgain(); });
$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useKey($("key").value);
  $("key-form").hidden = true;
  if (!busy) work();
});
document.addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
const reason = whyNot();
$("camera").hidden = Boolean(reason);
$("camera-reason").hidden = !reason;
$("camera-reason").textContent = reason;
showStats(stats.summary());
setInterval(() => showStats(stats.summary()), 1000);
setInterval(() => { if (!document.hidden) checkHealth(); }, HEALTH_EVERY_MS);
checkHealth();
