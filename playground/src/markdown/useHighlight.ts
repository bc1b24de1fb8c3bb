import { useEffect, useRef, useState } from "react";
import { codeOf, type CodeLines } from "./codeLines";
import { type Highlighter, openHighlighter, type Span } from "./highlighter";

/** The highlighted spans of each window, as far as they are known. */
export function useHighlight(language: string, lines: CodeLines, isClosed: boolean): readonly (Span[] | undefined)[] {
  const [spans, setSpans] = useState<readonly (Span[] | undefined)[]>([]);
  const highlighter = useRef<Highlighter>(null);

  useEffect(() => {
    if (language === "") return;
    const opened = openHighlighter((windows) => {
      setSpans((before) => {
        const after = [...before];
        for (const { index, spans } of windows) after[index] = spans;
        return after;
      });
    });
    highlighter.current = opened;
    return () => opened.close();
  }, [language]);

  // While the block is written, full windows only; its end once it is closed.
  const { windows } = lines;
  const code = isClosed ? codeOf(lines) : null;
  useEffect(() => {
    if (language === "") return;
    if (code !== null) highlighter.current?.highlight(language, code);
    else if (windows.length > 0) highlighter.current?.highlight(language, windows.join("\n"));
  }, [language, windows, code]);

  return spans;
}
