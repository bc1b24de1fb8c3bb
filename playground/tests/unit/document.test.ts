import { Lexer, type Tokens } from "marked";
import { describe, expect, test } from "vitest";
import { codeOf } from "../../src/markdown/codeLines";
import { type Block, type Document, emptyDocument, extendDocument, parseDocument } from "../../src/markdown/document";

const SAMPLE = `# Title

A paragraph with **bold** text
over two lines.

- one
- two
  - nested

  more of two

1. first

2. second

\`\`\`rust
fn main() {

    println!("\`\`\`");
}
\`\`\`

| a | b |
|---|--:|
| 1 | 2 |

> quoted
> text

Setext
======

~~~
tildes
~~~

The end.
`;

/** What is rendered, without identities. */
const shape = (document: Document) =>
  document.groups
    .flat()
    .map((block) =>
      block.kind === "code"
        ? { kind: "code", start: block.start, language: block.language, code: codeOf(block.lines) }
        : { kind: "text", start: block.start, raw: block.token.raw.trimEnd() },
    );

function stream(text: string, size: number): Document[] {
  const documents = [emptyDocument()];
  for (let end = size; end < text.length + size; end += size) {
    documents.push(extendDocument(documents.at(-1) ?? emptyDocument(), text.slice(0, end)));
  }
  return documents;
}

const block = (document: Document, index: number): Block | undefined => document.groups.flat()[index];

describe("an incrementally parsed document", () => {
  for (const size of [1, 2, 3, 7, 64]) {
    test(`equals the whole document when it arrives in chunks of ${size}`, () => {
      expect(shape(stream(SAMPLE, size).at(-1) ?? emptyDocument())).toEqual(shape(parseDocument(SAMPLE)));
    });
  }

  test("keeps_the_identity_of_finished_blocks", () => {
    const before = extendDocument(emptyDocument(), "One.\n\nTwo.\n\nThree\n");
    const after = extendDocument(before, "One.\n\nTwo.\n\nThree\nis longer.");
    expect(block(after, 0)).toBe(block(before, 0));
    expect(block(after, 1)).toBe(block(before, 1));
    expect(block(after, 2)).not.toBe(block(before, 2));
  });

  test("keeps_the_identity_of_full_groups_and_of_full_windows_of_code", () => {
    const paragraphs = Array.from({ length: 40 }, (_, index) => `Paragraph ${index}.\n\n`).join("");
    const lines = Array.from({ length: 400 }, (_, index) => `let x${index} = ${index};\n`).join("");
    const before = extendDocument(emptyDocument(), `${paragraphs}\`\`\`rust\n${lines}`);
    const after = extendDocument(before, `${paragraphs}\`\`\`rust\n${lines}let last = 0;\n`);
    expect(after.groups[0]).toBe(before.groups[0]);
    const [codeBefore, codeAfter] = [block(before, 40), block(after, 40)];
    if (codeBefore?.kind !== "code" || codeAfter?.kind !== "code") throw new Error("not a code block");
    expect(codeAfter.lines.windows).toBe(codeBefore.lines.windows);
    expect(codeAfter.isClosed).toBe(false);
    expect(codeOf(codeAfter.lines)).toBe(`${lines}let last = 0;`);
  });

  test("does_not_end_a_list_before_it_is_known_that_it_has_ended", () => {
    const documents = stream("1. one\n\n2. two\n", 1);
    const lists = documents.map((document) => document.groups.flat().filter(({ start }) => start === 0).length);
    expect(Math.max(...lists)).toBe(1);
    expect(shape(documents.at(-1) ?? emptyDocument())).toHaveLength(1);
  });

  test("does_not_show_the_beginning_of_a_closing_fence_as_code", () => {
    const document = extendDocument(emptyDocument(), "```\ncode\n``");
    const code = block(document, 0);
    expect(code?.kind === "code" && codeOf(code.lines)).toBe("code");
  });

  test("another_text_replaces_the_document", () => {
    const before = extendDocument(emptyDocument(), "One.\n\nTwo.");
    expect(shape(extendDocument(before, "Other."))).toEqual(shape(parseDocument("Other.")));
  });

  test("normalizes_line_breaks", () => {
    expect(shape(parseDocument("# a\r\n\r\nb\r\n"))).toEqual(shape(parseDocument("# a\n\nb\n")));
  });

  const items = (count: number, item: (number: number) => string) =>
    Array.from({ length: count }, (_, index) => item(index + 1)).join("");

  const LONG_LISTS: Record<string, string> = {
    "of bullets": items(100, (number) => `- item ${number} with **bold** text\n`),
    "with nested lists and code": items(
      100,
      (number) =>
        `${number}. item\n   - [ ] nested\n     1. deeper\n\n   \`\`\`rust\n   let x = ${number};\n\n   - no item\n   \`\`\`\n`,
    ),
    "of tasks that becomes loose": items(
      100,
      (number) => `* [${number % 2 ? "x" : " "}] task ${number}\n${number === 80 ? "\n" : ""}`,
    ),
    "that is loose": items(100, (number) => `${" ".repeat(number % 4)}- item ${number}\n\n`),
    "with equal numbers": items(100, () => "7) item\nlazy\n"),
    "of empty items": items(100, (number) => (number % 3 ? "-\n" : "- text\n")),
  };

  /** Items in the order of the text, however they are divided into blocks. */
  const listItems = (document: Document) =>
    document.groups.flat().flatMap((block) => {
      if (block.kind === "code" || block.token.type !== "list") return [];
      const list = block.token as Tokens.List;
      return list.items.map((item, index) => ({
        number: list.start === "" ? "" : list.start + index,
        raw: item.raw.trimEnd(),
        loose: [list.loose, item.loose],
        tokens: item.tokens.map(({ type, raw }) => [type, raw.trimEnd()]),
      }));
    });

  for (const [name, list] of Object.entries(LONG_LISTS)) {
    const text = `Before.\n\n${list}\nAfter.\n\n- other\n`;
    test(`a long list ${name} has the items that a parser of the whole list finds`, () => {
      const document = stream(text, 5).at(-1) ?? emptyDocument();
      expect(shape(document)).toEqual(shape(parseDocument(text)));
      const whole = new Lexer({ gfm: true }).lex(text).map((token) => ({ kind: "text" as const, start: 0, token }));
      expect(listItems(document)).toEqual(listItems({ ...emptyDocument(), groups: [whole] }));
      expect(listItems(parseDocument(text))).toEqual(listItems({ ...emptyDocument(), groups: [whole] }));
    });
  }

  test("parses_only_the_last_items_of_a_long_list_again", () => {
    const list = items(3_000, (number) => `${number}. item\n`);
    const before = extendDocument(emptyDocument(), list);
    const after = extendDocument(before, `${list}3001. last\n`);
    expect(after.text.length - after.openStart).toBeLessThan(40 * "1000. item\n".length);
    const identical = after.groups.flat().filter((one, index) => one === block(before, index)).length;
    expect(identical).toBeGreaterThanOrEqual(after.groups.flat().length - 1);
  });
});
