import { expect, test } from "../support/fixtures";
import { replyText, selectAction, send, signIn } from "../support/steps";

test("chatrooms_are_renamed_and_deleted", async ({ page }) => {
  await signIn(page);
  await send(page, "A question");
  await expect(replyText(page)).toHaveText("Yes.");
  await selectAction(page, "A question", "Rename");
  await page.getByRole("textbox", { name: "Title" }).fill("Another title");
  await page.getByRole("textbox", { name: "Title" }).press("Enter");
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("Another title");
  await selectAction(page, "Another title", "Delete");
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await expect(page.getByText("What would you like to know?")).toBeVisible();
  await expect(page.getByText("Your chats appear here.")).toBeVisible();
});

test("more_chatrooms_are_loaded_on_scrolling", async ({ page }) => {
  await signIn(page);
  await page.evaluate(async () => {
    const { accessToken } = JSON.parse(localStorage.getItem("pollux.session") ?? "{}") as { accessToken: string };
    for (let number = 1; number <= 75; number++) {
      const query = `mutation { createChatroom(input: {title: "Chat ${number}"}) { chatroom { id } } }`;
      const headers = { "content-type": "application/json", authorization: `Bearer ${accessToken}` };
      await fetch("/graphql", { method: "POST", headers, body: JSON.stringify({ query }) });
    }
  });
  await page.reload();
  const links = page.getByRole("navigation").getByRole("listitem");
  await expect(links.first()).toContainText("Chat 75");
  const last = page.getByRole("link", { name: "Chat 1 ", exact: false }).last();
  await expect(async () => {
    await links.last().scrollIntoViewIfNeeded();
    await expect(links).toHaveCount(75, { timeout: 200 });
  }).toPass();
  await expect(last).toBeAttached();
});
