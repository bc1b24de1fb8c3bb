import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures";
import { Script } from "../support/gemini";
import { lastReply, replyText, send, signIn } from "../support/steps";

const ATTACKS = [
  '<img src=x onerror="window.attacked=1">',
  "<script>window.attacked=1</script>",
  '<svg onload="window.attacked=1"></svg>',
  "[click](javascript:window.attacked=1)",
  "[click](JaVaScRiPt&#58;window.attacked=1)",
  "[click](data:text/html,<script>window.attacked=1</script>)",
  '<iframe srcdoc="<script>parent.attacked=1</script>"></iframe>',
  "![image](https://attacker.example/pixel.png)",
  '![image](x" onerror="window.attacked=1)',
  "`<img src=x onerror=window.attacked=1>`",
  "<style>body{display:none}</style>",
  '<a href="https://attacker.example" onmouseover="window.attacked=1">link</a>',
  "| <img src=x onerror=window.attacked=1> |\n|---|\n| <b>cell</b> |",
  '```html"><img src=x onerror=window.attacked=1>\n<script>window.attacked=1</script>\n```',
];

async function expectNoMarkup(page: Page): Promise<void> {
  expect(await page.evaluate(() => (window as { attacked?: number }).attacked)).toBeUndefined();
  const foreign = page.locator(
    "main :is(img, script, iframe, object, embed, style, link, form[action], b, [onerror], [onload], [onmouseover])",
  );
  await expect(foreign).toHaveCount(0);
  for (const href of await page.locator("main a").evaluateAll((links) => links.map((link) => link.getAttribute("href")))) {
    expect(href).toMatch(/^(https?:|mailto:)/);
  }
  for (const rel of await page.locator("main a").evaluateAll((links) => links.map((link) => link.getAttribute("rel")))) {
    expect(rel).toContain("noopener");
  }
}

test("markup_in_model_output_stays_text", async ({ page, backend }) => {
  await signIn(page);
  backend.gemini.enqueue(Script.reply(...ATTACKS.join("\n\n").split(/(?<=[<>"(\n])/)));
  await send(page, "Attack");
  await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
  await expect(replyText(page)).toContainText("<script>window.attacked=1</script>");
  await expect(replyText(page).getByRole("link", { name: "[image: image]" })).toHaveAttribute(
    "href",
    "https://attacker.example/pixel.png",
  );
  await expectNoMarkup(page);
});

test("markup_in_messages_and_titles_stays_text", async ({ page, context }) => {
  await signIn(page);
  for (const attack of ATTACKS.slice(0, 5)) {
    await page.goto("/");
    await send(page, attack);
    await expect(replyText(page)).toHaveText("Yes.");
    await expectNoMarkup(page);
  }
  await send(page, ATTACKS.join("\n\n"));
  await expect(page.locator("article.own")).toHaveCount(2);
  await expect(page.locator("article[data-pending]")).toHaveCount(0);
  await page.reload();
  await expect(page.locator("article.own")).toHaveCount(2);
  await expectNoMarkup(page);
  await expect(page.getByRole("navigation").getByText(ATTACKS[1] ?? "")).toBeVisible();
  await expect(page.locator("nav :is(img, script, svg[onload])")).toHaveCount(0);
  expect(context.pages()).toHaveLength(1);
});

test("the_page_is_blocked_from_running_inline_scripts", async ({ page }) => {
  const response = await page.goto("/");
  expect(response?.headers()["content-security-policy"]).not.toContain("unsafe");
  const html = await response?.text();
  expect(html).not.toMatch(/<script(?![^>]*\ssrc=)/);
  expect(html).not.toMatch(/<style|\sstyle=|\son\w+=/);
});
