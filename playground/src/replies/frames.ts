// Runs a callback at most once per animation frame, however often it is requested. A hidden page has no frames, so that a timer
// runs it there.

const MAX_DELAY_MS = 250;

export interface FrameScheduler {
  request: () => void;
  /** Runs a requested callback now. */
  flush: () => void;
}

export function onNextFrame(callback: () => void): FrameScheduler {
  let cancel: (() => void) | null = null;
  const run = () => {
    cancel?.();
    cancel = null;
    callback();
  };
  return {
    request() {
      if (cancel) return;
      const frame = requestAnimationFrame(run);
      const timer = setTimeout(run, MAX_DELAY_MS);
      cancel = () => {
        cancelAnimationFrame(frame);
        clearTimeout(timer);
      };
    },
    flush() {
      if (cancel) run();
    },
  };
}
