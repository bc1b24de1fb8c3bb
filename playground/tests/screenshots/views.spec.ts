import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { lastReply, newPhone, replyText, send } from "../support/steps";
import { SAMPLE_REPLY } from "./sampleReply";

const DIRECTORY = resolve(import.meta.dirname, "../../screenshots");
const SIZES = { narrow: { width: 390, height: 844 }, wide: { width: 1280, height: 800 } };

for (const colorScheme of ["light", "dark"] as const) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`views in ${colorScheme}, ${size}`, async ({ page, backend }) => {
      const shoot = (name: string) => page.screenshot({ path: `${DIRECTORY}/${name}-${colorScheme}-${size}.png` });
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(viewport);
      await page.goto("/");
      await expect(page.getByLabel("Phone number")).toBeVisible();
      await shoot("01-sign-in");
      await page.getByLabel("Phone number").fill(newPhone());
      await page.getByRole("button", { name: "Continue" }).click();
      await expect(page.getByRole("button", { name: /Use code/ })).toBeVisible();
      await shoot("02-code");
      await page.getByRole("button", { name: /Use code/ }).click();
      await expect(page.getByText("What would you like to know?")).toBeVisible();
      await expect(page.getByText("Connected")).toBeVisible();
      await shoot("03-new-chat");
      await page.getByRole("button", { name: "Temporary chat" }).click();
      await shoot("14-temporary");
      await page.getByRole("button", { name: "Temporary chat" }).click();

      await converse(page, backend, shoot);
      const shared = await share(page, shoot);
      if (size === "narrow") {
        await page.getByRole("button", { name: "Open the list of chats" }).click();
        await expect(page.getByRole("link", { name: "Account" })).toBeVisible();
        await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState === "finished"));
        await shoot("08-sidebar");
      }
      await page.getByRole("searchbox", { name: "Search messages" }).fill("lease");
      await expect(page.locator("mark").first()).toBeVisible();
      await shoot("23-search");
      await page.getByRole("link", { name: "Account" }).click();
      await expect(page.getByText("This device")).toBeVisible();
      await shoot("09-account");
      await page.getByRole("button", { name: "Delete account" }).scrollIntoViewIfNeeded();
      await shoot("10-account-end");
      await page.getByRole("button", { name: "Delete account" }).click();
      await shoot("11-dialog");
      await page.goto("/c/missing");
      await expect(page.getByText("This chat does not exist")).toBeVisible();
      await shoot("12-missing");
      await page.goto("/archived");
      await expect(page.getByRole("main").getByRole("listitem")).toHaveCount(1);
      await shoot("20-archive");
      await page.goto(shared);
      await expect(page.locator("article")).not.toHaveCount(0);
      await shoot("21-shared");
      await page.goto("/share/unknown");
      await expect(page.getByText("This link shows nothing")).toBeVisible();
      await shoot("22-revoked");
      await page.goto("/graphiql");
      await expect(page.locator(".graphiql-container .view-lines").first()).toContainText("SendOtp");
      await expect(page.locator(".graphiql-spinner")).toHaveCount(0);
      await shoot("13-graphiql");
    });
  }
}

async function converse(page: Page, backend: { gemini: { enqueue(...scripts: Script[]): void } }, shoot: (name: string) => Promise<unknown>) {
  const gate = new Gate();
  const half = Math.floor(SAMPLE_REPLY.length / 2);
  backend.gemini.enqueue(
    Script.start().text(SAMPLE_REPLY.slice(0, half)).wait(gate).text(SAMPLE_REPLY.slice(half)).finish(),
    Script.start().text("The beginning of an answer that").finish("SAFETY"),
    Script.start().wait(gate).text("Done.").finish(),
  );
  await send(page, "How does a lease protect a job from being run twice? Show it in Rust.");
  await expect(replyText(page)).toContainText("fn claim");
  await shoot("04-streaming");
  gate.open();
  await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
  await expect(page.locator(".hljs-keyword").first()).toBeVisible();
  await shoot("05-reply");
  await send(page, "And what if the clock of a worker is wrong?");
  await expect(page.getByText("The model’s safety rules")).toBeVisible();
  await shoot("06-failed");
  await send(page, "Please answer again.");
  await expect(page.getByText("Waiting for the model")).toBeVisible();
  await shoot("07-waiting");
  gate.open();
  await expect(replyText(page)).toHaveText("Done.");
}

/** Edits a message, shares and archives the chatroom. Returns the link. */
async function share(page: Page, shoot: (name: string) => Promise<unknown>): Promise<string> {
  await page.getByRole("button", { name: "Edit", exact: true }).last().click();
  await shoot("15-edit");
  await page.getByRole("textbox", { name: "Edit message" }).fill("Please answer again, briefly.");
  await page.getByRole("textbox", { name: "Edit message" }).press("Enter");
  await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
  await expect(page.getByText("2 of 2", { exact: true })).toBeVisible();
  await lastReply(page).getByRole("button", { name: "Good reply" }).click();
  await expect(page.getByRole("button", { name: "Good reply", pressed: true })).toBeVisible();
  await shoot("16-versions");
  const openMenu = () => page.locator("header").getByRole("button", { name: "Actions" }).click();
  await openMenu();
  await shoot("17-menu");
  await page.getByRole("menuitem", { name: "Share" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Create link" }).click();
  await dialog.getByLabel("The link expires").selectOption("In 30 days");
  await dialog.getByRole("button", { name: "Create link" }).click();
  await expect(dialog.getByRole("listitem")).toHaveCount(2);
  await shoot("18-share");
  const link = await dialog.getByRole("listitem").first().getByRole("link").getAttribute("href");
  await page.keyboard.press("Escape");
  await openMenu();
  await page.getByRole("menuitem", { name: "Archive" }).click();
  await expect(page.getByText("This chat is archived.")).toBeVisible();
  await shoot("19-archived-chat");
  return link ?? "";
}

test("the screenshot of the README", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.reply("Each second of latency costs attention."), Script.reply(SAMPLE_REPLY));
  await page.setViewportSize({ width: 1200, height: 820 });
  await page.goto("/");
  await page.getByLabel("Phone number").fill(newPhone());
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: /Use code/ }).click();
  await send(page, "Why stream a reply?");
  await expect(replyText(page)).toContainText("latency");
  await page.getByRole("link", { name: "New chat" }).click();
  await send(page, "How does a lease protect a job?");
  await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
  await expect(page.locator(".hljs-keyword").first()).toBeVisible();
  await page.getByText("How does a lease protect a job?").last().scrollIntoViewIfNeeded();
  await page.mouse.move(700, 300);
  await page.screenshot({ path: process.env.README_SCREENSHOT ?? `${DIRECTORY}/readme.png` });
});
