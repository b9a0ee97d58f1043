// Posts an image with Node's fetch. Usage: node fetch.mjs URL IMAGE; one line a reply: REQUEST STATUS LABEL.
import { readFileSync } from "node:fs";
import { Readable } from "node:stream";

const [url, path] = process.argv.slice(2);
const image = readFileSync(path);

async function post(name, options) {
  for (let turn = 0; turn < 2; turn++) {
    const reply = await fetch(url, { method: "POST", ...options() });
    const content = await reply.json();
    console.log(name, reply.status, content.predictions?.[0].label ?? "-");
  }
}

const headers = { "Content-Type": "image/jpeg" };
await post("raw", () => ({ headers, body: image }));
await post("chunked", () => ({ headers, body: Readable.from([image]), duplex: "half" }));
await post("form", () => {
  const form = new FormData();
  form.append("file", new Blob([image]));
  return { body: form };
});
