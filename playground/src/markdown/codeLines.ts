// The lines of a code block in windows of a fixed number of lines. A full window never changes, so that it is rendered once.

export const WINDOW_LINES = 50;

export interface CodeLines {
  /** Full windows; the array keeps its identity until another window is full. */
  windows: readonly string[];
  /** The complete lines after the last full window. */
  rest: readonly string[];
  /** The line that is not complete yet. */
  partial: string;
}

export const noLines: CodeLines = { windows: [], rest: [], partial: "" };

export function appendLines({ windows, rest }: CodeLines, lines: readonly string[], partial: string): CodeLines {
  let open = lines.length > 0 ? [...rest, ...lines] : rest;
  if (open.length >= WINDOW_LINES) {
    const full = [...windows];
    while (open.length >= WINDOW_LINES) {
      full.push(open.slice(0, WINDOW_LINES).join("\n"));
      open = open.slice(WINDOW_LINES);
    }
    windows = full;
  }
  return { windows, rest: open, partial };
}

export const linesOf = (code: string): CodeLines => {
  const lines = code.split("\n");
  return appendLines(noLines, lines.slice(0, -1), lines.at(-1) ?? "");
};

/** The window that still grows; empty if there is none. */
export const openWindow = ({ rest, partial }: CodeLines): string =>
  partial === "" ? rest.join("\n") : [...rest, partial].join("\n");

export const codeOf = (lines: CodeLines): string =>
  [...lines.windows, openWindow(lines)].filter((window) => window !== "").join("\n");
