// Parses Markdown that grows at its end. A finished block is parsed once and keeps its identity, so that React skips it; only
// the last block, to which more text may belong, is parsed again.
//
//   text:   # Title ⏎⏎ Paragraph. ⏎⏎ ```rust ⏎ fn main() { …
//           └────── finished ─────┘  └────── open ─────────
//                                    ^ openStart
//
// An open code block is not parsed again either: its lines are only searched for the closing fence. A long list consists of
// several blocks (listParts.ts), so that only its last items are.
import { Lexer, type Token, type Tokens } from "marked";
import { appendLines, type CodeLines, linesOf, noLines } from "./codeLines";
import { type Continuation, hasBecomeLoose, lexContinued, splitList } from "./listParts";

export interface TextBlock {
  kind: "text";
  /** The offset in the text, which identifies the block. */
  start: number;
  token: Token;
  /** Of a part of a list after its first one. */
  continues?: Continuation;
}

export interface CodeBlock {
  kind: "code";
  start: number;
  language: string;
  lines: CodeLines;
  isClosed: boolean;
}

export type Block = TextBlock | CodeBlock;

export interface Document {
  text: string;
  breaks: boolean;
  /** The blocks in groups of GROUP_SIZE. The arrays of full groups keep their identity. */
  groups: readonly (readonly Block[])[];
  /** Where the last block starts, which may still change. */
  openStart: number;
  openFence: OpenFence | null;
}

interface OpenFence {
  marker: string;
  indent: number;
  /** The start of the first line that is not complete. */
  scannedTo: number;
}

export const GROUP_SIZE = 12;

const FENCE_START = /^( {0,3})(`{3,}|~{3,})([^\n]*)\n/;
const LINE_BREAKS = /\r\n?/g;

export const emptyDocument = (breaks = false): Document => ({ text: "", breaks, groups: [], openStart: 0, openFence: null });

/** The document of a text that continues the document's text. Any other text is parsed from its beginning. */
export function extendDocument(previous: Document, rawText: string): Document {
  const text = rawText.includes("\r") ? rawText.replace(LINE_BREAKS, "\n") : rawText;
  if (text === previous.text) return previous;
  const document = text.startsWith(previous.text) ? previous : emptyDocument(previous.breaks);
  if (document.openFence) {
    const extended = extendFence(document, text, document.openFence);
    if (extended) return extended;
  }
  return parseFrom(document, text);
}

/** Parses a complete text, in which definitions of links may follow their use. */
export const parseDocument = (text: string, breaks = false): Document => extendDocument(emptyDocument(breaks), text);

function parseFrom(document: Document, text: string): Document {
  const continued = continuationOf(document);
  const lex = (source: string): Token[] => new Lexer({ gfm: true, breaks: document.breaks }).lex(source);
  const tokens = lexContinued(lex, text.slice(document.openStart), continued);
  // The parts before have to be rendered again, which happens at most once to a list.
  if (continued && hasBecomeLoose(tokens[0], continued))
    return parseFrom({ ...document, openStart: continued.listStart }, text);
  const blocks: Block[] = [];
  let start = document.openStart;
  for (const token of tokens) {
    if (token.type === "list") {
      blocks.push(...splitList(token as Tokens.List, start, start === document.openStart ? continued : undefined));
    } else if (token.type !== "space" && token.type !== "def") blocks.push(toBlock(token, start));
    start += token.raw.length;
  }
  // A block is finished once the next one has a complete line: "2" after a list can still become "2. item".
  let finished = blocks.length - 1;
  const lastLineStart = text.lastIndexOf("\n") + 1;
  while (finished > 0 && (blocks[finished]?.start ?? 0) >= lastLineStart) finished -= 1;
  const open = blocks[Math.max(finished, 0)];
  const openStart = open?.start ?? document.openStart;
  return {
    text,
    breaks: document.breaks,
    groups: replaceFrom(document.groups, document.openStart, blocks),
    openStart,
    openFence: finished === blocks.length - 1 ? openFenceOf(open, text) : null,
  };
}

/** What the open block continues, if it is a part of a list. */
function continuationOf({ groups, openStart }: Document): Continuation | undefined {
  const blocks = groups.findLast((group) => (group[0]?.start ?? 0) <= openStart);
  const block = blocks?.find(({ start }) => start === openStart);
  return block?.kind === "text" ? block.continues : undefined;
}

function toBlock(token: Token, start: number): Block {
  if (token.type !== "code") return { kind: "text", start, token };
  const { lang, text } = token as Tokens.Code;
  return { kind: "code", start, language: languageOf(lang ?? ""), lines: linesOf(text), isClosed: true };
}

export const languageOf = (info: string) => /^\S*/.exec(info)?.[0].toLowerCase() ?? "";

/** Replaces the blocks at and after an offset. */
function replaceFrom(groups: Document["groups"], offset: number, blocks: readonly Block[]): Document["groups"] {
  const kept = groups.filter((group) => (group.at(-1)?.start ?? 0) < offset && group.length === GROUP_SIZE);
  const partial = groups[kept.length]?.filter((block) => block.start < offset) ?? [];
  const rest = [...partial, ...blocks];
  const result = [...kept];
  for (let index = 0; index < rest.length; index += GROUP_SIZE) result.push(rest.slice(index, index + GROUP_SIZE));
  return result;
}

/** The fence of the last block if it is a code block that is not closed yet. */
function openFenceOf(block: Block | undefined, text: string): OpenFence | null {
  if (block?.kind !== "code") return null;
  const start = FENCE_START.exec(text.slice(block.start, block.start + 300));
  const marker = start?.[2];
  if (!start || !marker) return null;
  const fence = { marker, indent: start[1]?.length ?? 0, scannedTo: block.start + start[0].length };
  const scan = scanFence(text, fence);
  if (scan.isClosed) return null;
  block.lines = appendLines(noLines, scan.lines, scan.partial);
  block.isClosed = false;
  return { ...fence, scannedTo: scan.scannedTo };
}

/** Continues an open code block. Null: it was closed, so what follows is parsed as usual. */
function extendFence(document: Document, text: string, fence: OpenFence): Document | null {
  const scan = scanFence(text, fence);
  const group = document.groups.at(-1);
  const block = group?.at(-1);
  if (scan.isClosed || !group || block?.kind !== "code") return null;
  const extended: CodeBlock = { ...block, lines: appendLines(block.lines, scan.lines, scan.partial) };
  return {
    ...document,
    text,
    groups: [...document.groups.slice(0, -1), [...group.slice(0, -1), extended]],
    openFence: { ...fence, scannedTo: scan.scannedTo },
  };
}

/** Reads the lines after `scannedTo`, until a closing fence. */
function scanFence(text: string, { marker, indent, scannedTo }: OpenFence) {
  const lines: string[] = [];
  const strip = (line: string) => line.slice(Math.min(indent, line.length - line.trimStart().length));
  for (let end = text.indexOf("\n", scannedTo); end !== -1; end = text.indexOf("\n", scannedTo)) {
    const line = text.slice(scannedTo, end);
    if (closes(line, marker)) return { isClosed: true, lines, partial: "", scannedTo };
    lines.push(strip(line));
    scannedTo = end + 1;
  }
  const partial = text.slice(scannedTo);
  // The beginning of a closing fence is not shown as code.
  const mayClose =
    partial.trim() !== "" && /^ {0,3}(`+|~+) *$/.test(partial) && partial.trimStart().startsWith(marker[0] ?? "");
  return { isClosed: false, lines, partial: mayClose ? "" : strip(partial), scannedTo };
}

function closes(line: string, marker: string): boolean {
  const trimmed = line.trim();
  return (
    line.length - line.trimStart().length <= 3 &&
    trimmed.length >= marker.length &&
    trimmed === (marker[0] ?? "").repeat(trimmed.length)
  );
}
