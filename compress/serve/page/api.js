// What is said to the server. The API key lives in this module's memory and nowhere else.
const PATIENCE_MS = 60_000; // longer than any deadline a server is likely to have
let key = "";

export function useKey(text) { key = text.trim(); }

export class Refusal extends Error {
  // An answer other than 200, or none. status 0: no answer came.
  constructor(message, { status = 0, code = "", requestId = "", retryAfterS = 0 } = {}) {
    super(message);
    Object.assign(this, { status, code, requestId, retryAfterS });
  }
}

async function ask(path, options = {}) {
  const headers = key ? { "X-API-Key": key } : {};
  let reply;
  try {
    reply = await fetch(path, { ...options, headers, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refusal(late ? "The server did not answer in time." : "The server cannot be reached, or it closed the connection.");
  }
  const content = await reply.json().catch(() => null);
  if (reply.ok && content !== null) return content;
  throw new Refusal(content?.error ?? "The server's answer cannot be read.", {
    status: reply.status,
    code: content?.code,
    requestId: content?.request_id ?? reply.headers.get("X-Request-Id") ?? "",
    retryAfterS: Number(reply.headers.get("Retry-After")) || 0,
  });
}

export const health = () => ask("healthz");

// Returns the answer, and the round trip in ms: from before the upload until the answer was read.
export async function answerTo(image, { model = "", topK = 5, task = "classify" } = {}) {
  const query = new URLSearchParams(task === "detect" ? {} : { top_k: topK });
  if (model) query.set("model", model);
  const begun = performance.now();
  const answer = await ask(`v1/${task}?${query}`, { method: "POST", body: image });
  return { answer, tripMs: performance.now() - begun };
}
