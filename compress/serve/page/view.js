// What is shown: an answer, an error, the figures, the strip of the last images. Text is only ever set as text.
export const $ = (id) => document.getElementById(id);
const STRIP = 12;
const STAGES = ["queue", "decode", "infer", "other", "transport"];

export const percent = (score) => `${(score * 100).toFixed(1)} %`;
export function ms(value) {
  if (!Number.isFinite(value)) return "–";
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ms`;
}

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

// Fills a <dl>; facts without a value are left out.
function fill(list, facts) {
  const known = facts.filter(([, value]) => value !== undefined && value !== null && value !== "");
  list.replaceChildren(...known.map(([name, value, title = "", key = ""]) => {
    const item = make("div", {}, make("dt", { textContent: name }), make("dd", { textContent: value, title }));
    if (key) item.dataset.stage = key;
    return item;
  }));
}

function bar({ label, score }) {
  const name = make("span", { className: "label", textContent: label });
  const figure = make("span", { className: "score", textContent: percent(score) });
  const meter = make("div", { className: "meter" });
  const now = (score * 100).toFixed(1);
  const attributes = { role: "meter", "aria-label": label, "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": now };
  for (const [key, value] of Object.entries({ ...attributes, "aria-valuetext": percent(score) })) meter.setAttribute(key, value);
  meter.style.setProperty("--share", `${now}%`);
  return make("li", {}, name, figure, meter);
}

// Splits the round trip: what the server names, the rest of the server's time, and what lies outside it: network and browser.
function parts(timing, tripMs) {
  const { queue, decode, infer, total } = timing;
  const named = [queue, decode, infer].reduce((sum, value) => sum + (value ?? 0), 0);
  const other = Number.isFinite(total) ? Math.max(0, total - named) : undefined;
  const transport = Number.isFinite(total) ? Math.max(0, tripMs - total) : undefined;
  return { queue, decode, infer, other, transport };
}

function showTiming(timing, tripMs) {
  const split = parts(timing, tripMs);
  const names = { queue: "Queue", decode: "Decode", infer: "Inference", other: "Other", transport: "Transport" };
  const shown = STAGES.filter((key) => split[key] !== undefined);
  $("share").replaceChildren(...shown.map((key) => {
    const piece = make("span");
    piece.dataset.stage = key;
    piece.style.setProperty("flex-grow", split[key]);
    return piece;
  }));
  fill($("timing"), [
    ...shown.map((key) => [names[key], ms(split[key]), "", key]),
    ["Server total", timing.total === undefined ? undefined : ms(timing.total)],
    ["Round trip", ms(tripMs)],
  ]);
}

// `server` is the last /healthz: it knows the hash of the first model's file.
function showIdentity(answer, server) {
  const first = answer.version === server?.version && answer.model === server?.model;
  const sha = answer.sha256 ?? (first ? server.sha256 : undefined);
  const runtime = server?.models?.find((one) => one.name === answer.model)?.runtime ?? server?.runtime;
  fill($("identity"), [
    ["Model", answer.model],
    ["Precision", answer.precision],
    ["Version", answer.version],
    ["SHA-256", sha?.slice(0, 12), sha],
    ["Runtime", answer.degraded ? undefined : runtime],
  ]);
}

export function showAnswer({ answer, tripMs }, server) {
  hideAll();
  const found = answer.predictions ?? answer.detections ?? [];
  $("predictions").replaceChildren(...found.map(bar));
  $("predictions").setAttribute("aria-label", answer.detections ? "Boxes" : "Best classes");
  $("nothing").hidden = found.length > 0;
  showTiming(answer.timing_ms ?? {}, tripMs);
  showIdentity(answer, server);
  $("badge-cached").hidden = !answer.cached;
  $("badge-degraded").hidden = !answer.degraded;
  $("result").hidden = false;
}

export function showError(error) {
  hideAll();
  const status = error.status ? `HTTP ${error.status}` : "";
  const request = error.requestId ? `request ${error.requestId}` : "";
  const again = error.retryAfterS ? `try again in ${error.retryAfterS} s` : "";
  const detail = [status, error.code, again, request].filter(Boolean).join(" · ");
  const lines = [make("strong", { textContent: sentence(error.message) })];
  if (detail) lines.push(make("span", { className: "small", textContent: detail }));
  $("error").replaceChildren(...lines);
  $("error").hidden = false;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

function hideAll() {
  for (const id of ["hint", "error", "result", "badge-cached", "badge-degraded"]) $(id).hidden = true;
}

export const best = (answer) => (answer.predictions ?? answer.detections)?.[0];

export function announce(text) { $("announce").textContent = text; }

export function showStats(figures) {
  fill($("stats"), [
    ["Round trip p50", ms(figures.tripP50)],
    ["Round trip p95", ms(figures.tripP95)],
    ["Server p50", ms(figures.totalP50)],
    ["Server p95", ms(figures.totalP95)],
    ["Last 10 s", `${figures.perS.toFixed(1)} /s`],
    ["Samples", figures.samples],
    ["Cached", figures.cached],
    ["Cached p50", ms(figures.cachedP50)],
    ["Errors", figures.errors],
  ]);
}

export function showState(word, state) {
  if ($("state").textContent !== word) $("state").textContent = word; // a repeated text would be read out again
  $("state").dataset.state = state;
}

export function preview(blob, name) {
  const image = $("preview");
  URL.revokeObjectURL(image.src);
  image.onerror = () => { image.hidden = true; $("invite").textContent = `${name}: this browser cannot show it`; };
  image.alt = name;
  image.src = URL.createObjectURL(blob);
  image.hidden = false;
  $("invite").textContent = name;
}

// Adds an image to the strip; `onShow` is called when it is chosen there. The oldest goes, and its memory with it.
export function remember({ blob, name, text, bad }, onShow) {
  const url = URL.createObjectURL(blob);
  const image = make("img", { src: url, alt: "" });
  image.onerror = () => image.classList.add("broken");
  const button = make("button", { type: "button", title: name }, image, make("span", { textContent: text }));
  button.setAttribute("aria-label", `${name}: ${text}. Show again`);
  button.classList.toggle("bad", Boolean(bad));
  button.addEventListener("click", onShow);
  const item = make("li", {}, button);
  item.dataset.url = url;
  $("history").prepend(item);
  $("history-card").hidden = false;
  while ($("history").children.length > STRIP) {
    const oldest = $("history").lastElementChild;
    URL.revokeObjectURL(oldest.dataset.url);
    oldest.remove();
  }
}
