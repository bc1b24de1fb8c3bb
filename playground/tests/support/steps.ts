// What tests do on the page, in the words that a user sees.
import { expect, type Locator, type Page } from "@playwright/test";

let lastPhone = 5_550_000 + Math.floor(Math.random() * 9000);

export const newPhone = () => `+1415${++lastPhone}`;

/** Signs in with the code that the server returns. */
export async function signIn(page: Page, phone = newPhone()): Promise<string> {
  if (!page.url().startsWith("http")) await page.goto("/");
  await page.getByLabel("Phone number").fill(phone);
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: /Use code \d{6}/ }).click();
  await expect(page.getByRole("textbox", { name: "Message" })).toBeVisible();
  return phone;
}

export async function send(page: Page, text: string): Promise<void> {
  const field = page.getByRole("textbox", { name: "Message" });
  await field.fill(text);
  await field.press("Enter");
  await expect(field).toHaveValue("");
}

/** Opens the menu of a chatroom in the sidebar and selects an action. */
export async function selectAction(page: Page, title: string, action: string): Promise<void> {
  const item = page.getByRole("navigation").getByRole("listitem").filter({ hasText: title });
  await item.hover();
  await item.getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: action, exact: true }).click();
}

/** The titles of the chatrooms in the sidebar. */
export const listedTitles = (page: Page): Locator => page.getByRole("navigation").locator(".chatroom-title");

/** The replies, oldest first. */
export const replies = (page: Page): Locator => page.locator("article.reply");

export const lastReply = (page: Page): Locator => replies(page).last();

/** The text of the last reply without its actions. */
export const replyText = (page: Page): Locator => lastReply(page).locator(".markdown");
