// Divides a snippet at the ranges that match the search.

export interface Range {
  /** In UTF-16 code units, as JavaScript counts. */
  start: number;
  end: number;
}

export interface Part {
  text: string;
  isMatch: boolean;
}

/** The parts of a text in their order, without empty ones. Ranges that overlap or are out of bounds are cut. */
export function partsOf(text: string, ranges: readonly Range[]): Part[] {
  const parts: Part[] = [];
  let position = 0;
  const add = (end: number, isMatch: boolean) => {
    const bounded = Math.min(end, text.length);
    if (bounded <= position) return;
    parts.push({ text: text.slice(position, bounded), isMatch });
    position = bounded;
  };
  for (const { start, end } of ranges.toSorted((one, other) => one.start - other.start)) {
    add(start, false);
    add(end, true);
  }
  add(text.length, false);
  return parts;
}
