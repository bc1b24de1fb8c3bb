import { expect, test } from "../support/fixtures";
import { Script } from "../support/gemini";
import { lastReply, replyText, send, signIn } from "../support/steps";

test("a_search_finds_messages_and_opens_the_chat_at_one", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.reply("A pulsar is a rotating neutron star."), Script.reply("Bread needs flour."));
  await signIn(page);
  await send(page, "What is a pulsar?");
  await expect(replyText(page)).toContainText("neutron");
  // Until the chat has its generated title, a second link is named "New chat".
  await expect(page.getByRole("navigation").getByRole("link", { name: /What is a pulsar/ })).toBeVisible();
  await page.getByRole("link", { name: "New chat" }).click();
  await send(page, "How is bread made?");
  await expect(replyText(page)).toContainText("flour");

  const field = page.getByRole("searchbox", { name: "Search messages" });
  await field.fill("neutr");
  const results = page.getByRole("list", { name: "Messages found" }).getByRole("listitem");
  await expect(results).toHaveCount(1);
  await expect(page.getByText("1 message found")).toBeAttached();
  await expect(results.getByText("What is a pulsar?")).toBeVisible();
  await expect(results.locator("mark")).toHaveText(/^neutron$/i);
  await results.getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1 })).toHaveText("What is a pulsar?");
  await expect(lastReply(page)).toBeFocused();

  await field.fill('"unknown" (word');
  await expect(page.getByText("No message contains these words.").last()).toBeVisible();
  await field.press("Escape");
  await expect(field).toHaveValue("");
  await expect(page.getByRole("navigation").getByRole("link", { name: /How is bread made/ })).toBeVisible();
});

test("a_message_far_up_and_on_another_branch_is_shown", async ({ page, backend }) => {
  backend.gemini.enqueue(Script.reply("The needle is here."));
  await signIn(page);
  await send(page, "Hide it");
  await expect(replyText(page)).toHaveText("The needle is here.");
  for (let number = 1; number <= 18; number++) {
    await send(page, `Message ${number}`);
    await expect(lastReply(page).getByRole("button", { name: "Regenerate" })).toBeVisible();
  }
  await page.locator("article.own").first().getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Edit message" }).fill("Hide nothing");
  await page.getByRole("textbox", { name: "Edit message" }).press("Enter");
  await expect(replyText(page)).toHaveText("Yes.");
  await page.reload();
  await expect(page.getByText("Hide nothing")).toBeVisible();
  await expect(page.locator("article")).toHaveCount(2);
  await page.getByRole("searchbox", { name: "Search messages" }).fill("needle");
  await page.getByRole("link", { name: /needle/ }).click();
  const found = page.locator("article").filter({ hasText: "The needle is here." });
  await expect(found).toBeFocused();
  await expect(found).toBeInViewport();
  await expect(page.locator("article.own").last()).toHaveText(/Message 18/);
});
