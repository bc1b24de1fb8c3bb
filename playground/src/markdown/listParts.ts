// The parts of a long list. Each part but the last is finished: text that is added to the list belongs to its last item or
// follows it, and so does not change the items of an earlier part, except whether they are loose.
import type { Token, Tokens } from "marked";
import type { TextBlock } from "./document";

export const PART_ITEMS = 32;

/** What a part has to know of the parts before it. */
export interface Continuation {
  /** The offset in the text of the whole list. */
  listStart: number;
  /** The number of the part's first item; empty if the list is not ordered. */
  number: number | "";
  /** The marker of the item before, such as `31. `. */
  marker: string;
  /** Whether the list is loose: blank lines separate its items, or blocks within an item. */
  isLoose: boolean;
}

const MARKER = /^ {0,3}(?:[*+-]|\d{1,9}[.)])[ \t]*/;

/** The tokens of a text that begins with a part of a list. A loose list is continued after an item that makes it loose. */
export function lexContinued(lex: (text: string) => Token[], text: string, continued: Continuation | undefined): Token[] {
  if (!continued?.isLoose) return lex(text);
  const before = `${continued.marker}x\n\n`;
  const [list, ...tokens] = lex(before + text) as [Tokens.List, ...Token[]];
  return [{ ...list, raw: list.raw.slice(before.length), items: list.items.slice(1) }, ...tokens];
}

export const hasBecomeLoose = (token: Token | undefined, { isLoose }: Continuation) =>
  !isLoose && token?.type === "list" && (token as Tokens.List).loose;

/** The list in blocks of at most PART_ITEMS items. */
export function splitList(list: Tokens.List, start: number, continued?: Continuation): TextBlock[] {
  if (!continued && list.items.length <= PART_ITEMS) return [{ kind: "text", start, token: list }];
  const listStart = continued?.listStart ?? start;
  const blocks: TextBlock[] = [];
  let number = continued?.number ?? list.start;
  let continues = continued;
  for (let index = 0; index < list.items.length; index += PART_ITEMS) {
    const items = list.items.slice(index, index + PART_ITEMS);
    const raw = items.map((item) => item.raw).join("");
    blocks.push({ kind: "text", start, token: { ...list, raw, items, start: number }, continues });
    start += raw.length;
    if (number !== "") number += items.length;
    const marker = MARKER.exec(items.at(-1)?.raw ?? "")?.[0] ?? "";
    continues = { listStart, number, marker: /\s$/.test(marker) ? marker : `${marker} `, isLoose: list.loose };
  }
  return blocks;
}
