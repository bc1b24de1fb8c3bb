import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { replies, replyText, send, signIn } from "../support/steps";

test("older_messages_are_loaded_on_scrolling_without_moving_the_text", async ({ page, backend }) => {
  await signIn(page);
  for (let number = 1; number <= 18; number++)
    backend.gemini.enqueue(Script.reply(`Reply ${number}. ${"Words and words. ".repeat(30)}`));
  for (let number = 1; number <= 18; number++) {
    await send(page, `Message ${number}`);
    await expect(replyText(page)).toContainText(`Reply ${number}.`);
    await expect(page.getByRole("button", { name: "Regenerate" })).toBeVisible();
  }
  await page.reload();
  await expect(replyText(page)).toContainText("Reply 18.");
  const messages = page.locator("article.own");
  await expect(messages.last()).toHaveText("YouMessage 18");
  await expect(messages.last()).toBeInViewport();
  await expect(messages).toHaveCount(15);
  await messages.first().scrollIntoViewIfNeeded();
  await expect(messages).toHaveCount(18);
  await expect(messages.nth(3)).toHaveText("YouMessage 4");
  await expect(messages.nth(3)).toBeInViewport();
});

test("the_view_follows_the_end_unless_the_reader_scrolled_up", async ({ page, backend }) => {
  const gate = new Gate();
  const lines = (from: number) => Array.from({ length: 60 }, (_, index) => `Line ${from + index}.\n\n`).join("");
  backend.gemini.enqueue(Script.start().text(lines(0)).wait(gate).text(lines(60)).wait(gate).text("The end.").finish());
  await signIn(page);
  await send(page, "Write");
  await expect(page.getByText("Line 59.")).toBeInViewport();
  await page.mouse.move(700, 300);
  await page.mouse.wheel(0, -600);
  await expect(page.getByRole("button", { name: "Scroll to the newest message" })).toBeVisible();
  const shown = page.getByText("Line 40.");
  await expect(shown).toBeInViewport();
  const before = await shown.boundingBox();
  gate.open();
  await expect(page.getByText("Line 119.")).toBeAttached();
  expect(await shown.boundingBox()).toEqual(before);
  await page.getByRole("button", { name: "Scroll to the newest message" }).click();
  await expect(page.getByText("Line 119.")).toBeInViewport();
  gate.open();
  await expect(replies(page).getByText("The end.", { exact: true })).toBeInViewport();
});
