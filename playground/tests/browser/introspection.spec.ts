import { expect, test } from "../support/fixtures";

test.use({ settings: { INTROSPECTION: "off" } });

test("without_introspection_the_editor_says_so", async ({ page }) => {
  test.skip(process.env.POLLUX_SERVES_PAGE === "1", "the server does not serve the editor then");
  await page.goto("/graphiql");
  await expect(page.getByText("Introspection is disabled on this server")).toBeVisible();
});
