// Renders Markdown to React elements, incrementally while the text grows at its end.
import { memo, useState } from "react";
import { BlockView } from "./BlockView";
import { type Block, emptyDocument, extendDocument, parseDocument } from "./document";

interface Props {
  text: string;
  /** Whether the text still grows. */
  isStreaming?: boolean;
  /** Whether a line break in the source is one in the output, as in what people type. */
  breaks?: boolean;
}

const DEFINITION = /^ {0,3}\[[^\]]+\]:/m;

export function Markdown({ text, isStreaming = false, breaks = false }: Props) {
  const [document, setDocument] = useState(() => extendDocument(emptyDocument(breaks), text));
  const [wasStreaming, setWasStreaming] = useState(isStreaming);
  if (wasStreaming && !isStreaming) {
    setWasStreaming(false);
    // A link in a finished block can have its definition at the end of the text.
    setDocument(DEFINITION.test(text) ? parseDocument(text, breaks) : extendDocument(document, text));
  } else if (document.text !== text) {
    const extended = extendDocument(document, text);
    if (extended !== document) setDocument(extended);
  }
  const { groups } = document;
  return (
    <div className="markdown" data-streaming={isStreaming || undefined}>
      {groups.map((blocks, index) => (
        <BlockGroup key={index} blocks={blocks} isOffscreenable={index < groups.length - 1} />
      ))}
    </div>
  );
}

/** A group that is off the screen is neither laid out nor painted. */
const BlockGroup = memo(function BlockGroup({
  blocks,
  isOffscreenable,
}: {
  blocks: readonly Block[];
  isOffscreenable: boolean;
}) {
  const [first] = blocks;
  const isContinued = first?.kind === "text" && first.continues !== undefined;
  return (
    <div className="block-group" data-offscreenable={isOffscreenable || undefined} data-continued={isContinued || undefined}>
      {blocks.map((block) => (
        <BlockView key={block.start} block={block} />
      ))}
    </div>
  );
});
