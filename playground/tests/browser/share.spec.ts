import { expect, test } from "../support/fixtures";
import { Script } from "../support/gemini";
import { listedTitles, replyText, selectAction, send, signIn } from "../support/steps";

test.use({ settings: { BASIC_DAILY_LIMIT: "100" } });

test("a_visitor_reads_a_shared_chat_until_the_link_is_revoked", async ({ page, browser, backend }) => {
  backend.gemini.enqueue(Script.reply("A **rotating** star."));
  await signIn(page);
  await send(page, "What is a pulsar?");
  await expect(replyText(page)).toHaveText("A rotating star.");
  await expect(listedTitles(page)).toHaveText(["What is a pulsar?"]);
  await selectAction(page, "What is a pulsar?", "Share");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Create link" }).click();
  await expect(dialog.getByText("The link was created.")).toBeVisible();
  await dialog.getByRole("button", { name: "Copy" }).click();
  const url = await page.evaluate(() => navigator.clipboard.readText());
  expect(url).toMatch(new RegExp(`^${backend.url}/share/[A-Za-z0-9_-]{20,}$`));
  await dialog.getByRole("button", { name: "Close" }).click();
  await send(page, "Later");
  await expect(replyText(page)).toHaveText("Yes.");

  const visitor = await (await browser.newContext()).newPage();
  const response = await visitor.goto(url);
  expect(response?.headers()["x-robots-tag"]).toBe("noindex, nofollow");
  await expect(visitor.getByRole("heading", { level: 1 })).toHaveText("What is a pulsar?");
  await expect(visitor.locator("article")).toHaveCount(2);
  await expect(visitor.locator("article").last()).toHaveText(/A rotating star\.$/);
  await expect(visitor.locator("article strong")).toHaveText("rotating");
  await expect(visitor.getByRole("textbox")).toHaveCount(0);

  await selectAction(page, "What is a pulsar?", "Share");
  await dialog.getByRole("button", { name: "Revoke" }).click();
  await expect(dialog.getByText("The link was revoked")).toBeVisible();
  await visitor.reload();
  await expect(visitor.getByText("This link shows nothing")).toBeVisible({ timeout: 1_000 });
  await expect(visitor.locator("article")).toHaveCount(0);
  await visitor.context().close();
});

test("a_link_can_expire_and_is_listed_with_its_expiry", async ({ page }) => {
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  await page.locator("header").getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Share" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("The link expires").selectOption("In 7 days");
  await dialog.getByRole("button", { name: "Create link" }).click();
  await expect(dialog.getByRole("listitem")).toHaveCount(1);
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await page.locator("header").getByRole("button", { name: "Actions" }).click();
  await page.getByRole("menuitem", { name: "Share" }).click();
  await expect(dialog.getByRole("listitem")).toHaveCount(1);
  await expect(dialog.getByRole("listitem")).toContainText(/Expires on .+ \d{1,2}, \d{4}/);
});

test("a_long_shared_chat_is_read_page_by_page", async ({ page, browser }) => {
  await signIn(page);
  await page.evaluate(async () => {
    const { accessToken } = JSON.parse(localStorage.getItem("pollux.session") ?? "{}") as { accessToken: string };
    const headers = { "content-type": "application/json", authorization: `Bearer ${accessToken}` };
    const run = async (query: string) => {
      const response = await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query }) });
      return ((await response.json()) as { data: Record<string, { chatroom: { id: string } }> }).data;
    };
    const { createChatroom } = await run(`mutation { createChatroom(input: {title: "Long"}) { chatroom { id } } }`);
    for (let number = 1; number <= 30; number++) {
      const input = `{chatroomId: "${createChatroom?.chatroom.id ?? ""}", content: "Message ${number}"}`;
      await run(`mutation { sendMessage(input: ${input}) { message { id } } }`);
    }
  });
  await page.reload();
  await page.getByRole("link", { name: /Long/ }).click();
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(page.getByText("Message 30", { exact: true })).toBeVisible();
  await selectAction(page, "Long", "Share");
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Create link" }).click();
  const url = await dialog.getByRole("listitem").getByRole("link").getAttribute("href");
  const visitor = await (await browser.newContext()).newPage();
  await visitor.goto(url ?? "");
  await expect(visitor.getByText("Message 1", { exact: true })).toBeVisible();
  await expect(visitor.locator("article")).toHaveCount(50);
  await visitor.getByRole("button", { name: "Load more" }).click();
  await expect(visitor.locator("article")).toHaveCount(60);
  await expect(visitor.getByText("Message 30", { exact: true })).toBeVisible();
  await visitor.context().close();
});

test("an_unknown_link_shows_nothing", async ({ page }) => {
  await page.goto("/share/unknown");
  await expect(page.getByText("This link shows nothing")).toBeVisible();
  await page.getByRole("link", { name: "Back to chat" }).click();
  await expect(page.getByLabel("Phone number")).toBeVisible();
});
