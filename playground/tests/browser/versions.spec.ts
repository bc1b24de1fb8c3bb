import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { lastReply, replies, replyText, send, signIn } from "../support/steps";

test("an_edited_message_starts_a_branch_and_both_can_be_shown", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.reply("To one."), Script.reply("To two."), Script.reply("To first."));
  await signIn(page);
  await send(page, "one");
  await expect(replyText(page)).toHaveText("To one.");
  await send(page, "two");
  await expect(replyText(page)).toHaveText("To two.");

  const own = page.locator("article.own");
  await own.first().getByRole("button", { name: "Edit" }).click();
  const field = page.getByRole("textbox", { name: "Edit message" });
  await expect(field).toHaveValue("one");
  await field.fill("first");
  await field.press("Enter");
  await expect(replyText(page)).toHaveText("To first.");
  await expect(own).toHaveCount(1);
  await expect(own).toContainText("2 of 2");

  await own.getByRole("button", { name: "Previous version" }).click();
  await expect(replyText(page)).toHaveText("To two.");
  await expect(own.first()).toContainText("1 of 2");
  await page.reload();
  await expect(replyText(page)).toHaveText("To two.");
  await own.first().getByRole("button", { name: "Next version" }).click();
  await expect(replyText(page)).toHaveText("To first.");
  await send(page, "more");
  await expect(replies(page)).toHaveCount(2);
  await expect(replyText(page)).toHaveText("Yes.");
  expect(backend.gemini.prompts).toEqual(["one", "two", "first", "more"]);
});

test("a_cancelled_edit_changes_nothing_and_a_rejected_one_keeps_its_text", async ({ page, backend }) => {
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  const edit = page.getByRole("button", { name: "Edit" });
  await edit.click();
  const field = page.getByRole("textbox", { name: "Edit message" });
  await field.fill("Another text");
  await field.press("Escape");
  await expect(page.locator("article.own")).toHaveText(/Hello/);
  await expect(edit).toBeFocused();

  await edit.click();
  await field.fill("Another text");
  backend.network.cut();
  await page.getByRole("button", { name: "Send", exact: true }).first().click();
  await expect(page.getByText("The server cannot be reached.")).toBeVisible();
  await expect(field).toHaveValue("Another text");
  backend.network.restore();
  backend.gemini.enqueue(Script.reply("Edited."));
  await page.getByRole("button", { name: "Send", exact: true }).first().click();
  await expect(replyText(page)).toHaveText("Edited.");
  await expect(page.locator("article.own")).toContainText("2 of 2");
});

test("another_tab_follows_an_edit_and_a_switch", async ({ page, context, backend }) => {
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  const other = await context.newPage();
  await other.goto(page.url());
  await expect(replyText(other)).toHaveText("Yes.");
  await expect(other.getByText("Connected", { exact: true })).toBeVisible();

  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("Edited ").wait(gate).text("reply.").finish());
  await page.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Edit message" }).fill("Hello again");
  await page.getByRole("textbox", { name: "Edit message" }).press("Enter");
  await expect(replyText(other)).toHaveText("Edited");
  await expect(other.locator("article.own")).toHaveText(/Hello again/);
  // A reply that is being written leaves the branch, and is there with its text when it comes back.
  await other.getByRole("button", { name: "Previous version" }).click();
  for (const tab of [page, other]) await expect(replyText(tab)).toHaveText("Yes.");
  await page.getByRole("button", { name: "Next version" }).click();
  gate.open();
  for (const tab of [page, other]) {
    await expect(replyText(tab)).toHaveText("Edited reply.");
    await expect(replies(tab)).toHaveCount(1);
  }
});

test("a_reply_is_rated_on_all_devices_and_the_rating_can_be_removed", async ({ page, context }) => {
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  const other = await context.newPage();
  await other.goto(page.url());
  await expect(other.getByText("Connected", { exact: true })).toBeVisible();
  const button = (tab: typeof page, name: string) => lastReply(tab).getByRole("button", { name });
  await button(page, "Good reply").click();
  for (const tab of [page, other]) await expect(button(tab, "Good reply")).toHaveAttribute("aria-pressed", "true");
  await button(other, "Bad reply").click();
  for (const tab of [page, other]) {
    await expect(button(tab, "Bad reply")).toHaveAttribute("aria-pressed", "true");
    await expect(button(tab, "Good reply")).toHaveAttribute("aria-pressed", "false");
  }
  await button(page, "Bad reply").click();
  await expect(button(other, "Bad reply")).toHaveAttribute("aria-pressed", "false");
  await page.reload();
  await expect(button(page, "Bad reply")).toHaveAttribute("aria-pressed", "false");
});
