// Figures of this page's session: percentiles of the last answers, and the rate. Times are in ms.
const KEPT = 200;
const WINDOW_MS = 10_000;

// Nearest rank: the smallest value that at least the fraction p of all values does not exceed. null of nothing.
export function percentile(values, p) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)];
}

export class Stats {
  #last = []; // the newest KEPT answers
  #times = []; // of every answer in the window: more than KEPT where a camera is quick
  #errors = 0;

  answer({ tripMs, totalMs, cached }, now = performance.now()) {
    this.#last.push({ tripMs, totalMs, cached });
    if (this.#last.length > KEPT) this.#last.shift();
    this.#times.push(now);
    this.#forget(now);
  }

  error() { this.#errors += 1; }

  summary(now = performance.now()) {
    this.#forget(now);
    const worked = this.#last.filter((one) => !one.cached);
    const cached = this.#last.filter((one) => one.cached);
    const of = (some, key, p) => percentile(some.map((one) => one[key]).filter(Number.isFinite), p);
    return {
      errors: this.#errors,
      samples: worked.length,
      tripP50: of(worked, "tripMs", 0.5),
      tripP95: of(worked, "tripMs", 0.95),
      totalP50: of(worked, "totalMs", 0.5),
      totalP95: of(worked, "totalMs", 0.95),
      cached: cached.length,
      cachedP50: of(cached, "tripMs", 0.5),
      perS: this.#times.length / (WINDOW_MS / 1000),
    };
  }

  #forget(now) {
    while (this.#times.length && now - this.#times[0] > WINDOW_MS) this.#times.shift();
  }
}
