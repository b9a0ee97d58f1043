// Posts an image with axios. Usage: node axios.cjs URL IMAGE; one line a reply: REQUEST STATUS LABEL.
// NODE_PATH names the folder that holds axios.
const { readFileSync } = require("node:fs");
const http = require("node:http");
const { Readable } = require("node:stream");
const axios = require("axios");

const [url, path] = process.argv.slice(2);
const image = readFileSync(path);
const client = axios.create({ httpAgent: new http.Agent({ keepAlive: true }), maxRedirects: 0, validateStatus: () => true });

async function post(name, body, headers) {
  for (let turn = 0; turn < 2; turn++) {
    const reply = await client.post(url, body(), { headers });
    console.log(name, reply.status, reply.data.predictions?.[0].label ?? "-");
  }
}

(async () => {
  const type = { "Content-Type": "image/jpeg" };
  await post("raw", () => image, type);
  await post("chunked", () => Readable.from([image]), type);
  await post("expect", () => image, { ...type, Expect: "100-continue" });
  await post("upgrade", () => image, { ...type, Connection: "Upgrade", Upgrade: "h2c" });
  await post("form", () => {
    const form = new FormData();
    form.append("file", new Blob([image]));
    return form;
  }, {});
})();
