import { type CSSProperties, memo, useEffect, useState } from "react";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import { codeOf, type CodeLines, openWindow, WINDOW_LINES } from "./codeLines";
import type { Span } from "./highlighter";
import { useHighlight } from "./useHighlight";

interface Props {
  language: string;
  lines: CodeLines;
  isClosed: boolean;
}

export function CodeBlockView({ language, lines, isClosed }: Props) {
  const spans = useHighlight(language, lines, isClosed);
  const { windows } = lines;
  const open = openWindow(lines);
  return (
    <figure className="code-block">
      <figcaption>
        <span>{language === "" ? strings.markdown.code : language}</span>
        <CopyButton code={() => codeOf(lines)} />
      </figcaption>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrollable region must be focusable */}
      <pre role="group" aria-label={strings.markdown.codeIn(language)} tabIndex={0}>
        <code>
          {windows.map((text, index) => (
            <CodeWindow key={index} text={text} spans={spans[index]} lineCount={WINDOW_LINES} />
          ))}
          {open !== "" && (
            <CodeWindow key={windows.length} text={open} spans={isClosed ? spans[windows.length] : undefined} />
          )}
        </code>
      </pre>
    </figure>
  );
}

interface WindowProps {
  text: string;
  spans: Span[] | undefined;
  /** Of a full window, which is not laid out while it is off the screen. */
  lineCount?: number;
}

const CodeWindow = memo(function CodeWindow({ text, spans, lineCount }: WindowProps) {
  const style = lineCount === undefined ? undefined : ({ "--lines": lineCount } as CSSProperties);
  return (
    <span className="code-window" data-full={lineCount !== undefined || undefined} style={style}>
      {spans
        ? spans.map(([className, part], index) =>
            className === "" ? (
              part
            ) : (
              <span key={index} className={className}>
                {part}
              </span>
            ),
          )
        : text}
    </span>
  );
});

const COPIED_MS = 2_000;

function CopyButton({ code }: { code: () => string }) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <button
      type="button"
      className="quiet-button small"
      onClick={() =>
        void navigator.clipboard.writeText(code()).then(
          () => setIsCopied(true),
          () => setIsCopied(false),
        )
      }
    >
      <Icon name={isCopied ? "check" : "copy"} />
      <span aria-live="polite">{isCopied ? strings.markdown.copied : strings.markdown.copy}</span>
    </button>
  );
}
