import { readdirSync } from "node:fs";
import { resolve } from "node:path";
import type { Page } from "@playwright/test";
import { expect, test } from "../support/fixtures";
import { Script } from "../support/gemini";
import { replyText, send, signIn } from "../support/steps";

/** Each file of operations has a tab. */
const FILES = readdirSync(resolve(import.meta.dirname, "../../operations")).length;

const query = (page: Page) => page.locator(".graphiql-query-editor .view-lines");

/** Opens the tab of an operation file. */
async function openTab(page: Page, name: string): Promise<void> {
  await expect(query(page)).toContainText("SendOtp");
  await page.getByRole("tab", { name }).click();
  await expect(query(page)).toContainText(name);
}

async function run(page: Page, operation?: string): Promise<void> {
  await page.getByRole("button", { name: "Execute query" }).click();
  if (operation) await page.getByRole("button", { name: operation, exact: true }).click();
}

const response = (page: Page) => page.locator(".graphiql-response .view-lines");

test("runs_a_query_and_a_subscription_with_the_session_of_the_chat", async ({ page }) => {
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  await page.getByRole("link", { name: "GraphiQL" }).click();
  await expect(page).toHaveURL(/\/graphiql$/);
  await openTab(page, "Quota");
  await page.getByRole("button", { name: "Headers" }).click();
  await expect(page.locator(".graphiql-editor-tool .view-lines").last()).toContainText("Bearer");

  await run(page, "Quota");
  await expect(response(page)).toContainText("BASIC");
  await expect(response(page)).toContainText('"used": 1');
  await run(page, "FollowAccount");
  await expect(response(page)).toContainText("accountEvents");
});

test("streams_a_reply", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.reply("Streamed to the editor."));
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Streamed to the editor.");
  const messageId = await page.evaluate(async () => {
    const { accessToken } = JSON.parse(localStorage.getItem("pollux.session") ?? "{}") as { accessToken: string };
    const headers = { "content-type": "application/json", authorization: `Bearer ${accessToken}` };
    const document = "{ chatrooms { nodes { lastMessage { id } } } }";
    const result = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query: document }) });
    const { data } = (await result.json()) as { data: { chatrooms: { nodes: { lastMessage: { id: string } }[] } } };
    return data.chatrooms.nodes[0]?.lastMessage.id ?? "";
  });
  await page.goto("/graphiql");
  await openTab(page, "Messages");
  await page.getByRole("button", { name: "Variables" }).click();
  const variables = page.locator(".graphiql-editor-tool .view-lines").first();
  await variables.click();
  await page.keyboard.press("ControlOrMeta+A");
  // Pasted, because the editor closes brackets and quotes that are typed.
  await page.evaluate((text) => navigator.clipboard.writeText(text), JSON.stringify({ messageId }));
  await page.keyboard.press("ControlOrMeta+V");
  await run(page, "FollowReply");
  await expect(response(page)).toContainText("ReplyCompleted");
});

test("has_all_documented_operations_and_opens_one_again_in_a_new_tab", async ({ page }) => {
  await signIn(page);
  await page.goto("/graphiql");
  await expect(query(page)).toContainText("SendOtp");
  await expect(page.getByRole("tab")).toHaveCount(FILES);
  await page.getByRole("button", { name: "Operations" }).click();
  await page.locator(".operations").getByRole("button", { name: "Account" }).click();
  await expect(page.getByRole("tab")).toHaveCount(FILES + 1);
  await expect(query(page)).toContainText("query Me");
  const stored = () =>
    page.evaluate(() => Object.entries(localStorage).find(([key]) => key.endsWith("tabState"))?.[1] as string | undefined);
  await expect.poll(async () => (await stored())?.match(/"id":/g)?.length).toBe(FILES + 1);
  expect(await stored()).not.toMatch(/Bearer ey/);
  await page.reload();
  await expect(page.getByRole("tab")).toHaveCount(FILES + 1);
  await run(page, "Me");
  await expect(response(page)).toContainText("+1415");
});

test("tabs_and_the_choice_of_an_operation_work_by_keyboard_alone", async ({ page }) => {
  await signIn(page);
  await page.goto("/graphiql");
  await expect(query(page)).toContainText("SendOtp");
  const tab = (name: string) => page.getByRole("tab", { name, exact: true });
  await tab("SendOtp").focus();
  await page.keyboard.press("ArrowLeft");
  await expect(tab("Me")).toBeFocused();
  await expect(query(page)).toContainText("query Me");
  await page.keyboard.press("Home");
  await page.keyboard.press("ArrowRight");
  await expect(tab("Chatrooms")).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: "Close Chatrooms" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(page.getByRole("tab")).toHaveCount(FILES - 1);
  await expect(tab("SendOtp")).toBeFocused();
  await page.keyboard.press("End");
  await expect(query(page)).toContainText("query Me");

  const execute = page.getByRole("button", { name: "Execute query" });
  await execute.focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await expect(page.getByRole("button", { name: "Me", exact: true })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(response(page)).toContainText("+1415");
  await expect(execute).toBeFocused();
});
