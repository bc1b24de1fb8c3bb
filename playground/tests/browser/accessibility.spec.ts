import { AxeBuilder } from "@axe-core/playwright";
import type { Page } from "@playwright/test";
import { SAMPLE_REPLY } from "../screenshots/sampleReply";
import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { lastReply, newPhone, replyText, send, signIn } from "../support/steps";

/** One of each kind of token that GraphiQL's editor colors, the invalid ones included. */
const EVERY_TOKEN = `# A comment, and brackets in brackets.
query Tokens($id: ID!, $first: Int = 0x1F) @annotation(if: true) {
  chatrooms(first: 1.5, after: "a\\n\\q") { nodes { ... on Chatroom { id } } }
}
~ BOGUS ) "open
`;

async function expectAccessible(page: Page, view: string): Promise<void> {
  // Colors in transition are not the ones that a reader sees.
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every((animation) => !(animation instanceof CSSTransition) || animation.playState === "finished"),
  );
  const { violations } = await new AxeBuilder({ page }).analyze();
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" | ")}`);
  expect(found, view).toEqual([]);
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [390, 1280]) {
    test(`no view has a violation in ${colorScheme}, ${width} px wide`, async ({ page, backend }) => {
      test.setTimeout(90_000);
      const gate = new Gate();
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 800 });
      await page.goto("/");
      await expectAccessible(page, "sign-in");
      await page.getByRole("button", { name: "Sign in with a password" }).click();
      await expectAccessible(page, "password");
      await page.getByRole("button", { name: "Sign in with a code" }).click();
      await page.getByLabel("Phone number").fill("12");
      await page.getByRole("button", { name: "Continue" }).click();
      await expect(page.getByLabel("Phone number")).toHaveAttribute("aria-invalid", "true");
      await expectAccessible(page, "sign-in with an error");
      await page.getByLabel("Phone number").fill(newPhone());
      await page.getByRole("button", { name: "Continue" }).click();
      await expect(page.getByRole("button", { name: /Use code/ })).toBeVisible();
      await expectAccessible(page, "code");
      await page.getByRole("button", { name: /Use code/ }).click();
      await expect(page.getByText("What would you like to know?")).toBeVisible();
      await expectAccessible(page, "new chat");

      await page.getByRole("button", { name: "Temporary chat" }).click();
      await expectAccessible(page, "new temporary chat");
      await page.getByRole("button", { name: "Temporary chat" }).click();

      backend.gemini.enqueue(
        Script.start().text(SAMPLE_REPLY).wait(gate).finish(),
        Script.start().text("Partly").finish("SAFETY"),
      );
      await send(page, "Show **everything**");
      await expect(replyText(page)).toContainText("See the design");
      await expectAccessible(page, "streaming reply");
      gate.open();
      await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
      await expect(page.locator(".hljs-keyword").first()).toBeAttached();
      await expectAccessible(page, "reply");
      await send(page, "Be blocked");
      await expect(page.getByText("The model’s safety rules")).toBeVisible();
      await expectAccessible(page, "failed reply");
      await page.getByRole("button", { name: "Edit", exact: true }).last().click();
      await expectAccessible(page, "edit");
      await page.getByRole("textbox", { name: "Edit message" }).fill("Be edited");
      await page.getByRole("textbox", { name: "Edit message" }).press("Enter");
      await expect(page.getByText("2 of 2", { exact: true })).toBeVisible();
      await lastReply(page).getByRole("button", { name: "Good reply" }).click();
      await expect(page.getByRole("button", { name: "Good reply", pressed: true })).toBeVisible();
      await expectAccessible(page, "versions and feedback");

      const openMenu = () => page.locator("header").getByRole("button", { name: "Actions" }).click();
      await openMenu();
      await expectAccessible(page, "menu");
      await page.getByRole("menuitem", { name: "Share" }).click();
      await page.getByRole("button", { name: "Create link" }).click();
      await expect(page.getByText("The link was created.")).toBeVisible();
      await expectAccessible(page, "share dialog");
      const shared = await page.getByRole("dialog").getByRole("listitem").getByRole("link").getAttribute("href");
      await page.keyboard.press("Escape");
      await openMenu();
      await page.getByRole("menuitem", { name: "Archive" }).click();
      await expect(page.getByText("This chat is archived.")).toBeVisible();
      await expectAccessible(page, "archived chat");
      const chat = page.url();
      await page.goto("/archived");
      await expect(page.getByRole("main").getByRole("listitem")).toHaveCount(1);
      await expectAccessible(page, "archive");
      await page.goto(shared ?? "");
      await expect(page.locator("article")).not.toHaveCount(0);
      await expectAccessible(page, "shared chat");
      await page.goto("/share/unknown");
      await expect(page.getByText("This link shows nothing")).toBeVisible();
      await expectAccessible(page, "revoked share");
      await page.goto(chat);
      await page.getByRole("button", { name: "Move out of the archive" }).click();
      await expect(page.getByText("This chat is archived.")).toBeHidden();

      if (width < 800) {
        await page.getByRole("button", { name: "Open the list of chats" }).click();
        await expectAccessible(page, "sidebar");
      }
      await page.getByRole("searchbox", { name: "Search messages" }).fill("blocked");
      await expect(page.locator("mark").first()).toBeVisible();
      await expectAccessible(page, "search");
      await page.getByRole("link", { name: "Account" }).click();
      await expect(page.getByText("This device")).toBeVisible();
      await expectAccessible(page, "account");
      await page.getByRole("button", { name: "Delete account" }).click();
      await expectAccessible(page, "dialog");
      await page.goto("/c/missing");
      await expect(page.getByText("This chat does not exist")).toBeVisible();
      await expectAccessible(page, "missing chat");
      await page.goto("/billing/cancel");
      await expect(page.getByText("You were not charged.")).toBeVisible();
      await expectAccessible(page, "cancelled checkout");
    });
  }
}

/** Runs in the page before GraphiQL is opened, which then restores this tab. */
function storeTab(query: string): void {
  const tab = { id: "1", hash: "", title: "Tokens", query, variables: "", headers: "", operationName: null, response: null };
  localStorage.setItem("graphiql:tabState", JSON.stringify({ activeTabIndex: 0, tabs: [tab] }));
  localStorage.setItem("graphiql:query", query);
}

/** Opens each type from the list of all types in GraphiQL's documentation. */
async function expectAccessibleTypes(page: Page, types: readonly string[]): Promise<void> {
  for (const type of types) {
    await page.getByRole("link", { name: type, exact: true }).last().click();
    await expect(page.locator(".graphiql-doc-explorer-title")).toHaveText(type);
    await expectAccessible(page, `documentation of ${type}`);
    await page.getByRole("link", { name: "Go back to Docs" }).click();
  }
}

for (const colorScheme of ["light", "dark"] as const) {
  for (const width of [390, 1280]) {
    test(`no view of GraphiQL has a violation in ${colorScheme}, ${width} px wide`, async ({ page }) => {
      test.setTimeout(60_000);
      await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
      await page.setViewportSize({ width, height: 800 });
      await signIn(page);
      await page.evaluate(storeTab, EVERY_TOKEN);
      await page.goto("/graphiql");
      const query = page.locator(".graphiql-query-editor .view-lines");
      await expect(query).toContainText("BOGUS");
      await expectAccessible(page, "every kind of token");

      await page.getByRole("button", { name: "Show Operations" }).click();
      await page.locator(".operations").getByRole("button", { name: "Chatrooms" }).click();
      await page.getByRole("button", { name: "Hide Operations" }).click();
      await expect(query).toContainText("Chatrooms");
      await expectAccessible(page, "an operation");
      await page.getByRole("button", { name: "Execute query" }).click();
      await expect(page.getByRole("button", { name: "Models", exact: true })).toBeVisible();
      await expectAccessible(page, "the choice of an operation");
      await page.getByRole("button", { name: "Models", exact: true }).click();
      await expect(page.locator(".graphiql-response .view-lines")).toContainText("models");
      await expectAccessible(page, "a response");
      await page.getByRole("button", { name: "Headers" }).click();
      await expectAccessible(page, "headers");
      for (const panel of ["Documentation Explorer", "Operations", "History"]) {
        await page.getByRole("button", { name: `Show ${panel}` }).click();
        await expectAccessible(page, panel);
        if (panel === "Documentation Explorer") await expectAccessibleTypes(page, ["Chatroom", "MessageStatus"]);
        await page.getByRole("button", { name: `Hide ${panel}` }).click();
      }
      for (const dialog of ["short keys", "settings"]) {
        await page.getByRole("button", { name: `Open ${dialog} dialog` }).click();
        await expect(page.getByRole("dialog")).toBeVisible();
        await expectAccessible(page, dialog);
        await page.keyboard.press("Escape");
      }
    });
  }
}

test("everything_works_by_keyboard_alone", async ({ page, backend }) => {
  const press = (...keys: string[]) =>
    keys.reduce((done, key) => done.then(() => page.keyboard.press(key)), Promise.resolve());
  await page.goto("/");
  await expect(page.getByLabel("Phone number")).toBeFocused();
  await page.keyboard.type(newPhone());
  await press("Enter");
  const code = page.getByRole("button", { name: /Use code/ });
  await expect(code).toBeVisible();
  await page.keyboard.type(/\d{6}/.exec((await code.textContent()) ?? "")?.[0] ?? "");
  await press("Enter");
  await expect(page.getByRole("textbox", { name: "Message" })).toBeFocused();

  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("Some text").wait(gate));
  await page.keyboard.type("Line one");
  await press("Shift+Enter");
  await page.keyboard.type("Line two");
  await press("Enter");
  await expect(replyText(page)).toHaveText("Some text");
  await press("Tab");
  await expect(page.getByRole("button", { name: "Stop" })).toBeFocused();
  await press("Enter");
  await expect(page.getByText("Stopped", { exact: true })).toBeVisible();
  await expect(page.locator("article.own br")).toHaveCount(1);

  const actions = page.getByRole("navigation").getByRole("button", { name: "Actions" });
  await actions.focus();
  await press("Enter");
  await expect(page.getByRole("menuitem", { name: "Rename" })).toBeFocused();
  await press("Escape");
  await expect(page.getByRole("menu")).toBeHidden();
  await expect(actions).toBeFocused();
  await press("Enter", "End");
  await expect(page.getByRole("menuitem", { name: "Delete" })).toBeFocused();
  await press("Enter");
  await expect(page.getByRole("dialog")).toBeVisible();
  await press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(actions).toBeFocused();

  await page.getByRole("button", { name: "Edit", exact: true }).focus();
  await press("Enter");
  await expect(page.getByRole("textbox", { name: "Edit message" })).toBeFocused();
  await press("End", "X", "Enter");
  await expect(page.getByText("2 of 2", { exact: true })).toBeVisible();
  await page.getByRole("button", { name: "Previous version" }).first().focus();
  await press("Enter");
  await expect(page.getByText("1 of 2", { exact: true })).toBeVisible();
  await expect(page.getByRole("button", { name: "Next version" })).toBeFocused();
});

test("a_reply_is_announced_politely", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("The first sentence. The second").wait(gate).text(" one.").finish());
  await page.goto("/");
  await page.getByLabel("Phone number").fill(newPhone());
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("button", { name: /Use code/ }).click();
  await send(page, "Speak");
  const announced = page.locator(".messages > [aria-live=polite] p");
  await expect(announced).toHaveText(["The first sentence."]);
  gate.open();
  await expect(announced).toHaveText(["The first sentence.", "The second one.", "The reply is complete."]);
});
