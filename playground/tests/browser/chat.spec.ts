import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { lastReply, newPhone, replies, replyText, send, signIn } from "../support/steps";

test("first_sign_in_to_a_streamed_reply", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("A pulsar is ").wait(gate).text("a **rotating** star.").finish());
  await page.goto("/");
  await page.getByLabel("Phone number").fill(newPhone());
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: /Use code \d{6}/ }).click();
  await send(page, "What is a pulsar?");

  await expect(replyText(page)).toHaveText("A pulsar is");
  await expect(page.getByRole("button", { name: "Stop" })).toBeVisible();
  gate.open();
  await expect(replyText(page)).toHaveText("A pulsar is a rotating star.");
  await expect(replyText(page).locator("strong")).toHaveText("rotating");
  await expect(page.getByRole("button", { name: "Stop" })).toBeHidden();

  await expect(page).toHaveURL(/\/c\//);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("What is a pulsar?");
  await expect(page.getByRole("navigation").getByRole("link", { name: /What is a pulsar\?/ })).toBeVisible();
  await expect(page.getByText("1 of 20 prompts used today")).toBeVisible();
});

test("a_wrong_code_is_explained_and_the_right_one_signs_in", async ({ page }) => {
  await page.goto("/");
  await page.getByLabel("Phone number").fill("+1 (415) 555-0199");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByLabel("Code").fill("000000");
  await page.getByRole("button", { name: "Sign in" }).click();
  await expect(page.getByText("4 attempts left.")).toBeVisible();
  await page.getByRole("button", { name: /Use code/ }).click();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeFocused();
});

test("stopping_a_reply_keeps_its_text", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.start().text("The beginning").wait(new Gate()));
  await page.setViewportSize({ width: 390, height: 844 });
  await signIn(page);
  await send(page, "Write a book");
  await expect(replyText(page)).toHaveText("The beginning");
  for (const name of ["Stop", "Send"]) {
    await expect(page.getByRole("button", { name, exact: true })).toBeInViewport({ ratio: 1 });
  }
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByText("Stopped", { exact: true })).toBeVisible();
  await expect(replyText(page)).toHaveText("The beginning");
  await page.reload();
  await expect(page.getByText("Stopped", { exact: true })).toBeVisible();
});

test("a_regenerated_reply_has_versions", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.reply("The first answer."), Script.reply("The second answer."));
  await signIn(page);
  await send(page, "Answer");
  await expect(replyText(page)).toHaveText("The first answer.");
  await page.getByRole("button", { name: "Regenerate" }).click();
  await expect(replyText(page)).toHaveText("The second answer.");
  await expect(replies(page)).toHaveCount(1);
  const versions = lastReply(page).getByRole("group", { name: "Versions" });
  await expect(versions).toContainText("2 of 2");
  await versions.getByRole("button", { name: "Previous version" }).click();
  await expect(replyText(page)).toHaveText("The first answer.");
  await expect(versions).toContainText("1 of 2");
  await versions.getByRole("button", { name: "Next version" }).click();
  await expect(replyText(page)).toHaveText("The second answer.");
  await page.reload();
  await expect(replyText(page)).toHaveText("The second answer.");
  await expect(versions).toContainText("2 of 2");
});

test("a_failed_reply_gives_its_reason_and_can_be_retried", async ({ page, backend }) => {
  const unavailable = Script.rejection(503, "UNAVAILABLE");
  backend.gemini.enqueue(unavailable, unavailable, unavailable, unavailable, Script.reply("It works now."));
  await signIn(page);
  await send(page, "Answer");
  await expect(page.getByText("The model is not available at the moment.")).toBeVisible({ timeout: 25_000 });
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(replyText(page)).toHaveText("It works now.");
});

test("an_attempt_that_breaks_off_is_written_again_from_its_beginning", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("Half an ans").wait(gate).disconnect(), Script.reply("A whole answer."));
  await signIn(page);
  await send(page, "Answer");
  await expect(replyText(page)).toHaveText("Half an ans");
  gate.open();
  await expect(replyText(page)).toHaveText("A whole answer.");
});

test("a_second_tab_follows_a_conversation_live", async ({ page, context, backend }) => {
  const gate = new Gate();
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  const other = await context.newPage();
  await other.goto(page.url());
  await expect(replyText(other)).toHaveText("Yes.");
  await expect(other.getByText("Connected", { exact: true })).toBeVisible();

  backend.gemini.enqueue(Script.start().text("Live ").wait(gate).text("text.").finish());
  await send(page, "From the first tab");
  await expect(other.getByText("From the first tab")).toBeVisible();
  await expect(replyText(other)).toHaveText("Live");
  gate.open();
  for (const tab of [page, other]) await expect(replyText(tab)).toHaveText("Live text.");

  backend.gemini.enqueue(Script.reply("Regenerated."));
  await other.getByRole("button", { name: "Regenerate" }).click();
  for (const tab of [page, other]) {
    await expect(replyText(tab)).toHaveText("Regenerated.");
    await expect(replies(tab)).toHaveCount(2);
  }
});

test("code_is_highlighted_and_copied", async ({ page, backend }) => {
  const code = 'fn main() {\n    println!("hi");\n}';
  backend.gemini.enqueue(Script.reply("```rust\n", ...code.split(/(?<=\n)/), "\n```\n"));
  await signIn(page);
  await send(page, "Code");
  await expect(page.locator(".hljs-keyword")).toHaveText("fn");
  await lastReply(page).locator("figure").getByRole("button", { name: "Copy" }).click();
  await expect(lastReply(page).getByText("Copied")).toBeVisible();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(code);
});

test("a_queued_reply_shows_its_position", async ({ page, backend }) => {
  const gate = new Gate();
  const slow = () => Script.start().text("Slow").wait(gate).finish();
  backend.gemini.enqueue(slow(), slow(), slow(), slow());
  await signIn(page);
  // Two replies of a user run at the same time.
  for (const text of ["First", "Second", "Third", "Fourth"]) {
    await page.goto("/");
    await send(page, text);
    await expect(page).toHaveURL(/\/c\//);
    await expect(page.locator("article[data-pending]")).toHaveCount(0);
  }
  await expect(page.getByText("Waiting for 3 earlier replies")).toBeVisible();
  gate.open();
  await expect(page.getByText("Waiting for 2 earlier replies")).toBeVisible();
  gate.open();
  await expect(replyText(page)).toHaveText("Slow");
  gate.open();
  gate.open();
});
