import { expect, test } from "../support/fixtures";
import { send, signIn } from "../support/steps";

test.use({ settings: { STRIPE_SECRET_KEY: "", BASIC_DAILY_TOKENS: "0" } });

test("without_billing_nothing_offers_an_upgrade", async ({ page }) => {
  const billing = page.waitForResponse((response) => response.request().postData()?.includes("query Billing") ?? false);
  await signIn(page);
  expect(await (await billing).json()).toEqual({ data: { billing: { isConfigured: false, proPrice: null } } });
  await send(page, "Hello");
  await expect(page.getByText("You have used all tokens of today.", { exact: false })).toBeVisible();
  await expect(page.getByText("prompts used today")).toBeVisible();
  await expect(page.getByRole("button", { name: "Upgrade to Pro" })).toHaveCount(0);
  await page.getByRole("link", { name: "Account" }).click();
  await expect(page.getByText("20 prompts a day.")).toBeVisible();
  await expect(page.getByText("Pro costs")).toHaveCount(0);
  await expect(page.getByRole("button", { name: "Upgrade to Pro" })).toHaveCount(0);
});
