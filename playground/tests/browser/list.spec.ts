// The list of chatrooms on several devices, the archive, temporary chats and downloads.
import { readFileSync } from "node:fs";
import type { Browser, Page } from "@playwright/test";
import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { listedTitles, newPhone, replyText, selectAction, send, signIn } from "../support/steps";

/** Another browser in which the user signs in. */
async function otherDevice(browser: Browser, url: string, phone: string): Promise<Page> {
  const page = await (await browser.newContext({ baseURL: url })).newPage();
  await page.goto("/");
  await signIn(page, phone);
  await expect(page.getByText("Connected", { exact: true })).toBeVisible();
  return page;
}

test("a_generated_title_arrives_in_the_list_and_above_the_chat", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueueTitle(Script.start().wait(gate).text("Rotating stars").finish());
  await signIn(page);
  await send(page, "What is a pulsar?");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(listedTitles(page)).toHaveText(["New chat"]);
  gate.open();
  await expect(listedTitles(page)).toHaveText(["Rotating stars"]);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Rotating stars");
});

test("the_list_follows_what_happens_on_another_device", async ({ page, browser, backend }) => {
  const phone = await signIn(page);
  const other = await otherDevice(browser, backend.url, phone);
  for (const title of ["First", "Second"]) {
    await page.goto("/");
    await send(page, title);
    await expect(replyText(page)).toHaveText("Yes.");
    await expect(listedTitles(page).first()).toHaveText(title);
  }
  await expect(listedTitles(other)).toHaveText(["Second", "First"]);
  await selectAction(page, "First", "Pin");
  await expect(listedTitles(other)).toHaveText(["First", "Second"]);
  await selectAction(page, "First", "Unpin");
  await expect(listedTitles(other)).toHaveText(["Second", "First"]);
  await selectAction(page, "First", "Rename");
  await page.getByRole("textbox", { name: "Title" }).fill("Renamed");
  await page.getByRole("textbox", { name: "Title" }).press("Enter");
  await expect(listedTitles(other)).toHaveText(["Renamed", "Second"]);
  await selectAction(page, "Renamed", "Archive");
  await expect(listedTitles(other)).toHaveText(["Second"]);
  await selectAction(page, "Second", "Delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(other.getByText("Your chats appear here.")).toBeVisible();
  await other.context().close();
});

test("a_reply_that_was_not_shown_is_marked_until_its_chat_is_opened", async ({ page, browser, backend }) => {
  const phone = await signIn(page);
  const other = await otherDevice(browser, backend.url, phone);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(other.getByRole("link", { name: /Hello.*Unread reply/ })).toBeVisible();
  await expect(page.getByRole("link", { name: /Hello/ })).toBeVisible();
  await expect(page.getByRole("link", { name: /Unread reply/ })).toHaveCount(0);
  await other.getByRole("link", { name: /Hello/ }).click();
  await expect(replyText(other)).toHaveText("Yes.");
  await expect(other.getByRole("link", { name: /Unread reply/ })).toHaveCount(0);
  await other.goto("/");
  await expect(other.getByRole("link", { name: /Hello/ })).toBeVisible();
  await expect(other.getByRole("link", { name: /Unread reply/ })).toHaveCount(0);
  await other.context().close();
});

test("a_list_that_lost_its_connection_shows_what_was_missed", async ({ page, browser, backend }) => {
  const phone = newPhone();
  const other = await otherDevice(browser, backend.url, phone);
  await signIn(page, phone);
  await other.context().setOffline(true);
  await expect(other.getByText("Offline", { exact: true })).toBeVisible();
  await send(page, "Meanwhile");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(listedTitles(page)).toHaveText(["Meanwhile"]);
  await other.context().setOffline(false);
  await expect(listedTitles(other)).toHaveText(["Meanwhile"]);
  await other.context().close();
});

test("an_archived_chat_is_in_the_archive_until_it_is_moved_out", async ({ page }) => {
  await signIn(page);
  await send(page, "Keep this");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(listedTitles(page)).toHaveText(["Keep this"]);
  await page.locator("header").getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Archive" }).click();
  await expect(page.getByText("This chat is archived.")).toBeVisible();
  await expect(listedTitles(page)).toHaveCount(0);
  await page.getByRole("link", { name: "Archived chats" }).click();
  await page
    .getByRole("main")
    .getByRole("link", { name: /Keep this/ })
    .click();
  await expect(replyText(page)).toHaveText("Yes.");
  await page.getByRole("button", { name: "Move out of the archive" }).click();
  await expect(page.getByText("This chat is archived.")).toBeHidden();
  await expect(listedTitles(page)).toHaveText(["Keep this"]);
  await page.getByRole("link", { name: "Archived chats" }).click();
  await expect(page.getByText("Archived chats appear here.")).toBeVisible();
});

test("a_temporary_chat_shows_when_it_is_deleted", async ({ page }) => {
  await signIn(page);
  await page.getByRole("button", { name: "Temporary chat" }).click();
  await expect(page.getByText("it is deleted 24 hours after its last message")).toBeVisible();
  await send(page, "Between us");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(page.getByText("it is deleted 24 hours after its last message")).toBeVisible();
  await expect(page.getByRole("link", { name: /Between us.*Temporary chat/ })).toBeVisible();
  await page.reload();
  await expect(page.getByText("it is deleted 24 hours after its last message")).toBeVisible();
});

test("a_chat_is_downloaded_as_markdown_and_json", async ({ page }) => {
  await signIn(page);
  await send(page, "What / is: this?");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(listedTitles(page)).toHaveText(["What / is: this?"]);
  for (const [action, name, content] of [
    ["Export as Markdown", "What is this.md", "# What / is: this?"],
    ["Export as JSON", "What is this.json", '"content":"Yes."'],
  ] as const) {
    const download = page.waitForEvent("download");
    await selectAction(page, "What / is: this?", action);
    const file = await download;
    expect(file.suggestedFilename()).toBe(name);
    expect(readFileSync(await file.path(), "utf8")).toContain(content);
  }
});

test("all_chats_are_deleted_after_a_confirmation", async ({ page }) => {
  await signIn(page);
  for (const title of ["First", "Second"]) {
    await page.goto("/");
    await send(page, title);
    await expect(replyText(page)).toHaveText("Yes.");
  }
  await page.getByRole("link", { name: "Account" }).click();
  await page.getByRole("button", { name: "Delete all chats" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await expect(listedTitles(page)).toHaveCount(2);
  await page.getByRole("button", { name: "Delete all chats" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete all chats" }).click();
  await expect(page.getByText("2 chats were deleted.")).toBeVisible();
  await expect(listedTitles(page)).toHaveCount(0);
});
