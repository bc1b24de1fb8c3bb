import { describe, expect, test } from "vitest";
import { nextAnnouncement, toSpeech } from "../../src/chat/speech";
import { decodeEntities } from "../../src/markdown/entities";
import { safeHref } from "../../src/markdown/links";

describe("links", () => {
  test("only_http_https_and_mailto_can_be_followed", () => {
    expect(safeHref("https://example.com/a?b=c")).toBe("https://example.com/a?b=c");
    expect(safeHref("mailto:ada@example.com")).toBe("mailto:ada@example.com");
    for (const href of [
      "javascript:alert(1)",
      "JaVaScRiPt:alert(1)",
      "java\nscript:alert(1)",
      "data:text/html,x",
      "/relative",
      "",
    ]) {
      expect(safeHref(href)).toBeNull();
    }
    expect(safeHref("&#106;avascript:alert(1)")).toBeNull();
  });
});

describe("character references", () => {
  test("numeric_and_common_named_ones_are_decoded", () => {
    expect(decodeEntities("a &lt; b &amp;&amp; c &#x41;&#66; &nope; &")).toBe("a < b && c AB &nope; &");
    expect(decodeEntities("&#0;&#xd800;")).toBe("\ufffd\ufffd");
  });
});

describe("announcements", () => {
  test("end_with_a_sentence_until_the_reply_has_ended", () => {
    const text = "First. Second is not";
    const first = nextAnnouncement(text, 0, false);
    expect(first).toEqual({ speech: "First.", to: 7 });
    expect(nextAnnouncement(text, first.to, true)).toEqual({ speech: "Second is not", to: text.length });
  });

  test("contain_no_marks_of_markdown", () => {
    expect(toSpeech("## Title\n\n- **one** [link](https://example.com)\n```rust\nlet x;\n```")).toBe(
      "Title one link let x;",
    );
  });
});
