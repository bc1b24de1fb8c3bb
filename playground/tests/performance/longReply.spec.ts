// A reply of 3,000 lines at 60 chunks per second: no task over 50 ms, which a person would see as a dropped frame. Tasks are
// measured in time of the processor, so that other programs on the machine do not count. An open table and a nested list are
// parsed as a whole at each chunk, so that these cases have fewer lines.
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures";
import { Script } from "../support/gemini";
import { replies, replyText, send, signIn } from "../support/steps";
import { traceTasks } from "./trace";

const LINES = 3_000;
const CHUNKS_PER_SECOND = 60;
const MAX_TASK_MS = 50;

const CODE_LINES = [
  "/// Claims a job; none if another worker holds it.",
  "async fn claim(db: &Database, now: Timestamp) -> Result<Option<Job>> {",
  "    let lease = now + Duration::from_secs(30);",
  '    let job = db.query_one("UPDATE job SET leased_until = ? RETURNING *", [lease]).await?;',
  "    Ok(job.filter(|job| job.attempt < 4))",
  "}",
  "",
];

const codeLine = (index: number) => `${CODE_LINES[index % CODE_LINES.length] ?? ""}\n`;

/** Paragraphs, lists, tables and blocks of code, 60 lines each time. */
function mixedLine(index: number): string {
  const line = index % 60;
  if (line === 0) return `## Section ${index / 60 + 1}\n\n`;
  if (line < 8)
    return `A sentence with **bold** text, \`code\` and [a link](https://example.com/${index}), long enough to wrap.\n\n`;
  if (line < 16) return `- item ${line} with *emphasis*\n`;
  if (line === 16) return "\n| a | b |\n|---|--:|\n";
  if (line < 24) return `| cell ${line} | ${index} |\n`;
  if (line === 24) return "\n```rust\n";
  if (line === 58) return "```\n\n";
  return line < 58 ? codeLine(line) : "The end of the section.\n\n";
}

/** Items of 8 lines each. */
function nestedLine(index: number): string {
  const lines = ["an item\n", "   - a nested *item*\n", "   - another one\n", "\n", "   ```rust\n"];
  const line = index % 8;
  if (line === 0) return `${index / 8 + 1}. ${lines[0]}`;
  return lines[line] ?? (line === 7 ? "   ```\n" : `   ${codeLine(index).trimEnd()}\n`);
}

/** Counts frames from now on. Returns a function that returns their number and the longest time between two. */
async function countFrames(page: Page): Promise<() => Promise<{ count: number; slowestMs: number }>> {
  const frames = await page.evaluateHandle(() => {
    const counted = { count: 0, slowestMs: 0 };
    let last = performance.now();
    const onFrame = (now: number) => {
      counted.count += 1;
      counted.slowestMs = Math.max(counted.slowestMs, now - last);
      last = now;
      requestAnimationFrame(onFrame);
    };
    requestAnimationFrame(onFrame);
    return counted;
  });
  return () => frames.jsonValue();
}

const SHAPES: [string, (index: number) => string, lines?: number][] = [
  ["mixed text and code", mixedLine],
  ["one block of code", (index) => (index === 0 ? "```rust\n" : index === LINES - 1 ? "```\n" : codeLine(index))],
  ["one paragraph", (index) => `Words of sentence ${index} and some more of them. `],
  ["one list", (index) => `${index + 1}. an item with **bold** text and \`code\`\n`],
  ["one list with nested lists and code", nestedLine],
  ["one nested list", (index) => (index === 0 ? "- parent\n" : `  - an item with **bold** text and \`code\`\n`), 1_000],
  ["one table", (index) => (index === 0 ? "| a | b |\n|---|--:|\n" : `| cell with **bold** text | ${index} |\n`), 500],
  ["one quotation", (index) => (index % 4 === 3 ? ">\n" : `> A sentence with **bold** text and \`code\` ${index}.\n`)],
];

for (const [name, line, lines = LINES] of SHAPES) {
  const streamMs = (lines / CHUNKS_PER_SECOND) * 1000;
  test(`a long reply of ${name} has no task over ${MAX_TASK_MS} ms`, async ({ page, backend }) => {
    let script = Script.start().pace(1000 / CHUNKS_PER_SECOND);
    for (let index = 0; index < lines; index++) script = script.text(line(index));
    await signIn(page);
    await send(page, "Warm up");
    await expect(replyText(page)).toHaveText("Yes.");
    backend.gemini.enqueue(Script.reply("```rust\nfn main() {}\n```\n"), script.finish());
    await send(page, "Load the highlighter");
    await expect(page.locator(".hljs-keyword")).toBeVisible();
    const [frames, tasks] = [await countFrames(page), await traceTasks(page)];
    await send(page, "Write");
    await expect(replies(page)).toHaveCount(3);
    // A cheap condition: Playwright's own search by role takes hundreds of milliseconds in so large a document.
    await page.waitForFunction(
      () => document.querySelector("article.reply:last-of-type")?.getAttribute("aria-busy") === "false",
      undefined,
      { polling: 500, timeout: streamMs * 2 + 30_000 },
    );
    const { count, slowestMs } = await frames();
    const [longest] = await tasks();
    const [cpu, elapsed] = [longest?.cpuMs.toFixed(0), longest?.elapsedMs.toFixed(0)];
    console.log(
      `${name}: ${count} frames, slowest ${slowestMs.toFixed(0)} ms; longest task ${cpu} ms of CPU in ${elapsed} ms`,
    );
    expect(count).toBeGreaterThan(streamMs / 1000);
    expect(longest?.cpuMs).toBeGreaterThan(0);
    expect(longest?.cpuMs).toBeLessThanOrEqual(MAX_TASK_MS);
  });
}
