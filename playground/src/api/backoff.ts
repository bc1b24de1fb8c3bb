// Exponential backoff with jitter that ends early when the connection probably works again.

const FIRST_DELAY_MS = 300;
const MAX_DELAY_MS = 10_000;

export function backoffDelay(attempt: number): number {
  const ceiling = Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt);
  return ceiling / 2 + Math.random() * (ceiling / 2);
}

/** Resolves after the delay, or as soon as the browser is online again or the page becomes visible. */
export function wait(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      document.removeEventListener("visibilitychange", onVisible);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const onVisible = () => {
      if (document.visibilityState === "visible") done();
    };
    const timer = setTimeout(done, delayMs);
    window.addEventListener("online", done);
    document.addEventListener("visibilitychange", onVisible);
    signal?.addEventListener("abort", done);
    if (signal?.aborted) done();
  });
}
