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

test("a_reload_in_mid_reply_continues_exactly_where_it_was", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("one two ").wait(gate).text("three ").wait(gate).text("four").finish());
  await signIn(page);
  await send(page, "Count to four");
  await expect(replyText(page)).toHaveText("one two");
  await page.reload();
  await expect(replyText(page)).toHaveText("one two");
  gate.open();
  await expect(replyText(page)).toHaveText("one two three");
  await page.reload();
  gate.open();
  await expect(replyText(page)).toHaveText("one two three four");
  await expect(replies(page)).toHaveCount(1);
  await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
  await page.reload();
  await expect(replyText(page)).toHaveText("one two three four");
  expect(backend.gemini.prompts).toEqual(["Count to four"]);
});
