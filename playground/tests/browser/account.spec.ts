import { readFileSync } from "node:fs";
import { expect, test } from "../support/fixtures";
import { replyText, send, signIn } from "../support/steps";

test("a_session_ended_elsewhere_signs_the_tab_out_with_an_explanation", async ({ page, browser, backend }) => {
  const phone = await signIn(page);
  const elsewhere = await (await browser.newContext({ baseURL: backend.url })).newPage();
  await elsewhere.goto("/");
  await signIn(elsewhere, phone);
  await elsewhere.goto("/account");
  await elsewhere.getByRole("button", { name: /^Sign out Chrome/ }).click();
  await expect(elsewhere.getByText("The session was ended.")).toBeVisible();

  await expect(page.getByText("You are signed out: this session was ended on another device")).toBeVisible();
  await expect(page.getByLabel("Phone number")).toBeVisible();
  await expect(elsewhere.getByText("This device")).toBeVisible();
  await elsewhere.context().close();
});

test("signing_out_in_one_tab_signs_out_the_other", async ({ page, context }) => {
  await signIn(page);
  const other = await context.newPage();
  await other.goto("/");
  await expect(other.getByText("Connected", { exact: true })).toBeVisible();
  await page.goto("/account");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  for (const tab of [page, other]) await expect(tab.getByLabel("Phone number")).toBeVisible();
  expect(await page.evaluate(() => Object.keys(localStorage).filter((key) => key.startsWith("pollux.session")))).toEqual([]);
});

test("the_profile_is_saved_and_its_errors_are_shown_at_the_field", async ({ page }) => {
  await signIn(page);
  await page.goto("/account");
  await page.getByLabel("Full name").fill("Ada Lovelace");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByText("Saved.")).toBeVisible();
  await page.getByLabel("Full name").fill("\u200b\u200b");
  await page.getByRole("button", { name: "Save" }).click();
  await expect(page.getByLabel("Full name")).toHaveAttribute("aria-invalid", "true");
  await page.reload();
  await expect(page.getByLabel("Full name")).toHaveValue("Ada Lovelace");
});

test("a_password_is_set_and_signs_in", async ({ page }) => {
  const phone = await signIn(page);
  await page.goto("/account");
  await page.getByLabel("New password").fill("correct horse battery");
  await page.getByRole("button", { name: "Set password" }).click();
  await expect(page.getByText("The password is set.")).toBeVisible();
  await expect(page.getByLabel("Current password")).toBeVisible();
  await page.getByRole("button", { name: "Sign out", exact: true }).click();

  await page.getByRole("button", { name: "Sign in with a password" }).click();
  await page.getByLabel("Phone number").fill(phone);
  await page.getByLabel("Password").fill("wrong password");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByRole("alert").filter({ hasText: /\w/ })).toBeVisible();
  await page.getByLabel("Password").fill("correct horse battery");
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await expect(page.getByText("This device")).toBeVisible();
});

test("a_forgotten_password_is_reset_by_a_code", async ({ page }) => {
  const phone = await signIn(page);
  await page.goto("/account");
  await page.getByRole("button", { name: "Sign out", exact: true }).click();
  await page.getByRole("button", { name: "Sign in with a password" }).click();
  await page.getByLabel("Phone number").fill(phone);
  await page.getByRole("button", { name: "Forgot your password?" }).click();
  await expect(page.getByLabel("Code")).toHaveValue(/\d{6}/);
  await page.getByLabel("New password").fill("another long password");
  await page.getByRole("button", { name: "Set password and sign in" }).click();
  await expect(page.getByText("This device")).toBeVisible();
});

test("the_data_is_downloaded", async ({ page }) => {
  const phone = await signIn(page);
  await send(page, "A message to export");
  await expect(replyText(page)).toHaveText("Yes.");
  await page.getByRole("link", { name: "Account" }).click();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Download" }).click();
  const file = readFileSync(await (await download).path(), "utf8");
  expect(file).toContain(phone);
  expect(file).toContain("A message to export");
});

test("the_account_is_deleted_after_a_confirmation", async ({ page }) => {
  const phone = await signIn(page);
  await send(page, "To be deleted");
  await expect(replyText(page)).toHaveText("Yes.");
  await page.getByRole("link", { name: "Account" }).click();
  await page.getByRole("button", { name: "Delete account" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("dialog")).toBeHidden();
  await page.getByRole("button", { name: "Delete account" }).click();
  await page.getByRole("button", { name: "Delete account and data" }).click();
  await expect(page.getByText("Your account and its data are deleted.")).toBeVisible();
  await page.goto("/");
  await signIn(page, phone);
  await expect(page.getByText("Your chats appear here.")).toBeVisible();
});
