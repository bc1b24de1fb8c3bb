import { expect, test } from "../support/fixtures";
import { replyText, send, signIn } from "../support/steps";
import { CHECKOUT_HOST } from "../support/stripe";

test.use({
  settings: { BASIC_DAILY_LIMIT: "2", GEMINI_MODELS: "model-b", PRO_MODELS: "model-b" },
  allowedOrigins: [CHECKOUT_HOST],
});

test("a_used_up_quota_is_explained_and_a_signed_webhook_lifts_it_live", async ({ page, backend }) => {
  await page.route(`${CHECKOUT_HOST}/**`, (route) => route.fulfill({ contentType: "text/html", body: "<h1>Stripe</h1>" }));
  await signIn(page);
  for (const text of ["First", "Second"]) {
    await send(page, text);
    await expect(page.locator("article.own").last()).toContainText(text);
    await expect(replyText(page)).toHaveText("Yes.");
    await expect(page.getByRole("button", { name: "Regenerate" })).toBeVisible();
  }
  await expect(page.getByText("2 of 2 prompts used today")).toBeVisible();
  await expect(page.getByText(/Resets in \d+ (hr|min)/)).toBeVisible();
  const chat = page.url();

  await send(page, "Third");
  await expect(page.getByText("You have used all prompts of today.", { exact: false })).toBeVisible();
  await page.locator("article.own").last().getByRole("button", { name: "Upgrade to Pro" }).click();
  await expect(page.getByRole("heading", { name: "Stripe" })).toBeVisible();

  // The rejected message waits; the tier changes while the chat is open, without a reload.
  await page.goto(chat);
  await expect(page.getByText("You have used all prompts of today.", { exact: false })).toBeVisible();
  await expect(page.getByText("2 of 2 prompts used today")).toBeVisible();
  await backend.stripe.payCheckout(backend.stripe.lastCheckout().id, backend.url);
  await expect(page.getByText("Pro: unlimited prompts")).toBeVisible();
  await page.getByRole("button", { name: "Send again" }).click();
  await expect(page.locator("article[data-pending]")).toHaveCount(0);
  await expect(page.locator("article.own").last()).toHaveText("YouThird");
  await expect(replyText(page)).toHaveText("Yes.");

  await page.getByRole("link", { name: "Account" }).click();
  await expect(page.getByText("Renews on")).toBeVisible();
  await page.getByRole("button", { name: "Manage subscription" }).click();
  await expect(page.getByRole("heading", { name: "Stripe" })).toBeVisible();
});

test("the_way_back_from_the_checkout_confirms_the_payment_without_a_webhook", async ({ page, backend }) => {
  await page.route(`${CHECKOUT_HOST}/**`, (route) => route.fulfill({ contentType: "text/html", body: "<h1>Stripe</h1>" }));
  await signIn(page);
  await page.getByRole("button", { name: "Upgrade to Pro" }).click();
  await expect(page.getByRole("heading", { name: "Stripe" })).toBeVisible();
  const checkout = backend.stripe.lastCheckout();
  await page.goto(checkout.success_url.replace("{CHECKOUT_SESSION_ID}", checkout.id));
  await expect(page.getByRole("heading", { name: "Confirming your payment" })).toBeVisible();
  backend.stripe.completeCheckout(checkout.id);
  await expect(page.getByText("Welcome to Pro")).toBeVisible();
  await expect(page.getByText("Pro: unlimited prompts")).toBeVisible();
  await page.goto(checkout.cancel_url);
  await expect(page.getByText("You were not charged.")).toBeVisible();
});

test("the_plan_shows_the_price_and_the_payment_enables_the_models_of_pro", async ({ page, backend }) => {
  await page.route(`${CHECKOUT_HOST}/**`, (route) => route.fulfill({ contentType: "text/html", body: "<h1>Stripe</h1>" }));
  await signIn(page);
  await expect(page.getByRole("option", { name: "model-b (Pro)" })).toBeDisabled();
  await page.getByRole("link", { name: "Account" }).click();
  await expect(page.getByText("Pro costs $10.00 a month.")).toBeVisible();
  await page.getByRole("main").getByRole("button", { name: "Upgrade to Pro" }).click();
  await expect(page.getByRole("heading", { name: "Stripe" })).toBeVisible();
  await page.goto("/");
  await expect(page.getByRole("option", { name: "model-b (Pro)" })).toBeDisabled();
  await backend.stripe.payCheckout(backend.stripe.lastCheckout().id, backend.url);
  await page.getByLabel("Model").selectOption({ label: "model-b" });
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(page.getByText("model-b")).toBeVisible();
});

test("an_upgrade_is_offered_without_a_price_while_stripe_does_not_respond", async ({ page }) => {
  await page.route("**/graphql", async (route) => {
    if (!route.request().postData()?.includes("query Billing")) return route.fallback();
    const error = { message: "Retry later.", path: ["billing", "proPrice"], extensions: { code: "PAYMENT_PROVIDER_ERROR" } };
    await route.fulfill({ json: { data: { billing: { isConfigured: true, proPrice: null } }, errors: [error] } });
  });
  await signIn(page);
  await page.getByRole("link", { name: "Account" }).click();
  await expect(page.getByRole("main").getByRole("button", { name: "Upgrade to Pro" })).toBeVisible();
  await expect(page.getByText("Pro costs")).toHaveCount(0);
});
