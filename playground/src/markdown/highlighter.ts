// The page's side of highlight.worker.ts. The worker, and with it the highlighter, is loaded with the first code block.

/** A class name of highlight.js (empty for none) and the text that has it. */
export type Span = [className: string, text: string];

export interface HighlightRequest {
  block: number;
  language: string;
  /** The whole code so far. Null: the block no longer exists. */
  code: string | null;
}

export interface HighlightResponse {
  block: number;
  windows: { index: number; spans: Span[] }[];
}

type Listener = (windows: HighlightResponse["windows"]) => void;

/** Longer code stays plain. */
const MAX_LENGTH = 400_000;

let worker: Worker | null = null;
let lastBlock = 0;
const listeners = new Map<number, Listener>();

function post(request: HighlightRequest): void {
  if (!worker) {
    worker = new Worker(new URL("./highlight.worker.ts", import.meta.url), { type: "module" });
    worker.addEventListener("message", ({ data }: MessageEvent<HighlightResponse>) => {
      listeners.get(data.block)?.(data.windows);
    });
  }
  worker.postMessage(request);
}

export interface Highlighter {
  highlight(language: string, code: string): void;
  close(): void;
}

export function openHighlighter(listener: Listener): Highlighter {
  const block = ++lastBlock;
  listeners.set(block, listener);
  return {
    highlight(language, code) {
      if (code.length <= MAX_LENGTH) post({ block, language, code });
    },
    close() {
      listeners.delete(block);
      worker?.postMessage({ block, language: "", code: null } satisfies HighlightRequest);
    },
  };
}
