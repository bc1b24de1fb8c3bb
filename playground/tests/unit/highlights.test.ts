import { describe, expect, test } from "vitest";
import { type Range, partsOf } from "../../src/search/highlights";

/** The parts with matches in brackets. */
const shown = (text: string, ...ranges: Range[]) =>
  partsOf(text, ranges)
    .map(({ text, isMatch }) => (isMatch ? `[${text}]` : text))
    .join("");

describe("the highlights of a snippet", () => {
  test("ranges_count_utf_16_code_units", () => {
    expect(shown("a 🌟 star", { start: 5, end: 9 })).toBe("a 🌟 [star]");
    expect(shown("中性子星です", { start: 3, end: 4 })).toBe("中性子[星]です");
  });

  test("several_ranges_are_shown_in_their_order", () => {
    expect(shown("one two one", { start: 8, end: 11 }, { start: 0, end: 3 })).toBe("[one] two [one]");
    expect(shown("plain")).toBe("plain");
  });

  test("overlapping_and_excessive_ranges_lose_no_text", () => {
    expect(shown("abcdef", { start: 1, end: 4 }, { start: 2, end: 9 })).toBe("a[bcd][ef]");
    expect(shown("abc", { start: 7, end: 9 })).toBe("abc");
  });
});
