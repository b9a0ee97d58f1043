"use strict";
const $ = (id) => document.getElementById(id);
const ms = (value) => `${value.toFixed(value < 10 ? 2 : 0)} ms`;
let newest = 0; // a reply to an older picture must not overwrite a newer one

function tell(text, bad = false) {
  $("status").textContent = text;
  $("status").classList.toggle("bad", bad);
  $("status").hidden = !text;
}

function showModel(model) {
  for (const key of ["precision", "version", "runtime"]) if (model[key]) $(`model-${key}`).textContent = model[key];
  $("model-name").textContent = model.model;
}

function row({ label, score }) {
  const item = document.createElement("li");
  const percent = `${(score * 100).toFixed(1)} %`;
  for (const text of [label, percent]) item.append(Object.assign(document.createElement("span"), { textContent: text }));
  item.style.setProperty("--share", `${score * 100}%`);
  return item;
}

function showAnswer(answer, trip) {
  showModel(answer);
  $("predictions").replaceChildren(...answer.predictions.map(row));
  const { decode, infer, total } = answer.timing_ms;
  for (const [key, value] of Object.entries({ decode, infer, total, trip })) $(`time-${key}`).textContent = ms(value);
  tell("");
  $("predictions").hidden = $("timing").hidden = false;
}

function preview(file) {
  const image = $("preview");
  URL.revokeObjectURL(image.src);
  image.onerror = () => { image.hidden = true; }; // a format the server reads and the browser does not
  image.alt = file.name || "pasted picture";
  image.src = URL.createObjectURL(file);
  image.hidden = false;
  $("invite").textContent = `${image.alt} – drop, paste or choose another`;
}

async function classify(file) {
  const mine = ++newest;
  preview(file);
  $("predictions").hidden = $("timing").hidden = true;
  tell("Asking the model …");
  const begun = performance.now();
  try {
    const reply = await fetch("/v1/classify?top_k=5", { method: "POST", body: file });
    const trip = performance.now() - begun;
    const content = await reply.json();
    if (mine !== newest) return;
    if (reply.ok) showAnswer(content, trip);
    else tell(`${content.error} (${reply.status} ${content.code})`, true);
  } catch (error) {
    if (mine === newest) tell(`The server did not answer: ${error.message}`, true);
  }
}

$("file").addEventListener("change", (event) => { if (event.target.files[0]) classify(event.target.files[0]); });
document.addEventListener("paste", (event) => { if (event.clipboardData.files[0]) classify(event.clipboardData.files[0]); });
document.addEventListener("dragover", (event) => { event.preventDefault(); $("drop").classList.add("over"); });
document.addEventListener("dragleave", () => $("drop").classList.remove("over"));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  $("drop").classList.remove("over");
  if (event.dataTransfer.files[0]) classify(event.dataTransfer.files[0]);
});
fetch("/healthz")
  .then(async (reply) => { if (reply.ok) showModel(await reply.json()); else tell("The server is not ready yet.", true); })
  .catch(() => tell("The server did not answer.", true));
