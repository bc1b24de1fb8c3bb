// Highlights code in a worker, so that a long block never blocks the page.
//
// While a block is written, its full windows arrive again and again, each time with more of them. All are highlighted together,
// because a comment or string can span windows, but only windows whose result is new are sent back, a few per message.
import { common, createLowlight } from "lowlight";
import { WINDOW_LINES } from "./codeLines";
import type { HighlightRequest, HighlightResponse, Span } from "./highlighter";

const lowlight = createLowlight(common);
const WINDOWS_PER_MESSAGE = 4;

/** For each block, the result of each window that was sent. */
const sent = new Map<number, string[]>();

self.addEventListener("message", ({ data }: MessageEvent<HighlightRequest>) => {
  if (data.code === null) {
    sent.delete(data.block);
    return;
  }
  if (!lowlight.registered(data.language)) return;
  const windows = toWindows(lowlight.highlight(data.language, data.code));
  const known = sent.get(data.block) ?? [];
  sent.set(data.block, known);
  let batch: HighlightResponse["windows"] = [];
  windows.forEach((spans, index) => {
    const result = JSON.stringify(spans);
    if (known[index] === result) return;
    known[index] = result;
    batch.push({ index, spans });
    if (batch.length === WINDOWS_PER_MESSAGE) {
      respond({ block: data.block, windows: batch });
      batch = [];
    }
  });
  if (batch.length > 0) respond({ block: data.block, windows: batch });
});

const respond = (response: HighlightResponse) => self.postMessage(response);

type HighlightedNode = ReturnType<typeof lowlight.highlight>["children"][number];

/** Flattens the tree to spans and splits them after each WINDOW_LINES lines. */
function toWindows(tree: { children: HighlightedNode[] }): Span[][] {
  const windows: Span[][] = [[]];
  let lines = 0;
  const add = (className: string, text: string) => {
    let start = 0;
    for (let end = text.indexOf("\n"); end !== -1; end = text.indexOf("\n", end + 1)) {
      lines += 1;
      if (lines % WINDOW_LINES > 0) continue;
      windows.at(-1)?.push([className, text.slice(start, end)]);
      windows.push([]);
      start = end + 1;
    }
    if (start < text.length) windows.at(-1)?.push([className, text.slice(start)]);
  };
  const visit = (node: HighlightedNode, className: string) => {
    if (node.type === "text") add(className, node.value);
    if (node.type !== "element") return;
    const own = Array.isArray(node.properties.className) ? node.properties.className.join(" ") : className;
    for (const child of node.children) visit(child, own);
  };
  for (const node of tree.children) visit(node, "");
  return windows;
}
