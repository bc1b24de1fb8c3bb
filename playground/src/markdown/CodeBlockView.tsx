import { type CSSProperties, memo } from "react";
import { strings } from "../strings";
import { CopyButton } from "../ui/CopyButton";
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
        <CopyButton text={() => codeOf(lines)} isSmall />
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
