import type { WebSocketRoute } from "@playwright/test";
import { expect, test } from "../support/fixtures";
import { Gate } from "../support/gate";
import { Script } from "../support/gemini";
import { replies, replyText, send, signIn } from "../support/steps";

test("a_reload_in_mid_reply_continues_exactly_where_it_was", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("one two ").wait(gate).text("three ").wait(gate).text("four").finish());
  await signIn(page);
  await send(page, "Count to four");
  await expect(replyText(page)).toHaveText("one two");
  await page.reload();
  await expect(replyText(page)).toHaveText("one two");
  gate.open();
  await expect(replyText(page)).toHaveText("one two three");
  await page.reload();
  gate.open();
  await expect(replyText(page)).toHaveText("one two three four");
  await expect(replies(page)).toHaveCount(1);
  await page.reload();
  await expect(replyText(page)).toHaveText("one two three four");
  expect(backend.gemini.prompts).toEqual(["Count to four"]);
});

test("a_reload_subscribes_after_the_text_that_was_shown", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("one two ").wait(gate).text("three").finish());
  await signIn(page);
  await send(page, "Count");
  await expect(replyText(page)).toHaveText("one two");
  const cursors: unknown[] = [];
  page.on("websocket", (socket) =>
    socket.on("framesent", ({ payload }) => {
      const { payload: operation } = JSON.parse(String(payload)) as {
        payload?: { query?: string; variables?: { after?: string } };
      };
      if (operation?.query?.includes("replyStream")) cursors.push(operation.variables?.after);
    }),
  );
  await page.reload();
  await expect.poll(() => cursors).toEqual(["1-8"]);
  gate.open();
  await expect(replyText(page)).toHaveText("one two three");
});

test("a_reply_continues_after_the_network_was_lost", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("one ").wait(gate).text("two ").wait(gate).text("three").finish());
  await signIn(page);
  await send(page, "Count");
  await expect(replyText(page)).toHaveText("one");
  backend.network.cut();
  await expect(page.getByText("Reconnecting")).toBeVisible();
  gate.open();
  backend.network.restore();
  await expect(replyText(page)).toHaveText("one two");
  await expect(page.getByText("Connected", { exact: true })).toBeVisible();
  gate.open();
  await expect(replyText(page)).toHaveText("one two three");
});

test("a_reply_continues_after_the_browser_was_offline", async ({ page, context, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("one ").wait(gate).text("two").finish());
  await signIn(page);
  await send(page, "Count");
  await expect(replyText(page)).toHaveText("one");
  await context.setOffline(true);
  await expect(page.getByText("Offline", { exact: true })).toBeVisible();
  gate.open();
  await context.setOffline(false);
  await expect(replyText(page)).toHaveText("one two");
  await expect(page.getByText("Connected", { exact: true })).toBeVisible();
});

test("a_message_written_offline_is_sent_once_when_the_network_is_back", async ({ page, backend }) => {
  await signIn(page);
  await send(page, "First");
  await expect(replyText(page)).toHaveText("Yes.");
  backend.network.cut();
  await send(page, "Written offline");
  await expect(page.getByText("Not sent yet.")).toBeVisible();
  // The reload interrupts the delivery that begins now.
  backend.network.restore();
  await page.reload();
  await expect(replies(page)).toHaveCount(2);
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(page.locator("article.own")).toHaveText(["YouFirst", "YouWritten offline"]);
  expect(backend.gemini.prompts).toEqual(["First", "Written offline"]);
});

test("a_message_whose_response_was_lost_is_stored_once", async ({ page, backend }) => {
  await signIn(page);
  await send(page, "First");
  await expect(replyText(page)).toHaveText("Yes.");
  const keys: unknown[] = [];
  await page.route("**/graphql", async (route) => {
    const { query, variables } = route.request().postDataJSON() as { query: string; variables: { idempotencyKey: string } };
    if (!query.includes("mutation SendMessage")) return route.continue();
    keys.push(variables.idempotencyKey);
    if (keys.length > 1) return route.continue();
    await route.fetch();
    await route.abort("connectionreset");
  });
  await send(page, "Sent twice");
  await expect.poll(() => keys.length).toBe(2);
  await expect(replies(page)).toHaveCount(2);
  await expect(replyText(page)).toHaveText("Yes.");
  await expect(page.locator("article[data-pending]")).toHaveCount(0);
  await expect(page.locator("article.own")).toHaveText(["YouFirst", "YouSent twice"]);
  expect(keys[1]).toBe(keys[0]);
  expect(backend.gemini.prompts).toEqual(["First", "Sent twice"]);
  await expect(page.getByText("2 of 20 prompts used today")).toBeVisible();
});

test("a_reply_continues_when_the_access_token_expires_in_mid_stream", async ({ page, backend }) => {
  const gate = new Gate();
  backend.gemini.enqueue(Script.start().text("one ").wait(gate).text("two").finish());
  const sockets: WebSocketRoute[] = [];
  const tokens: string[] = [];
  await page.routeWebSocket("**/graphql", (socket) => {
    const server = socket.connectToServer();
    sockets.push(socket);
    socket.onMessage((message) => {
      const { type, payload } = JSON.parse(String(message)) as { type: string; payload?: { authorization?: string } };
      if (type === "connection_init") tokens.push(payload?.authorization ?? "");
      server.send(message);
    });
  });
  await signIn(page);
  await send(page, "Count");
  await expect(replyText(page)).toHaveText("one");
  const refreshed = page.waitForRequest((request) => request.postData()?.includes("mutation RefreshToken") ?? false);
  await sockets[0]?.close({ code: 4403, reason: "token expired" });
  await refreshed;
  gate.open();
  await expect(replyText(page)).toHaveText("one two");
  await expect(page.getByText("Connected", { exact: true })).toBeVisible();
  expect(tokens).toHaveLength(2);
  expect(tokens[1]).not.toBe(tokens[0]);
});

test("two_tabs_refresh_an_expired_token_once", async ({ page, context }) => {
  await signIn(page);
  const [gate, refreshes] = [new Gate(), [] as string[]];
  await context.route("**/graphql", async (route) => {
    const body = route.request().postData() ?? "";
    if (body.includes("mutation RefreshToken")) {
      refreshes.push(body);
      await gate.pass();
    }
    await route.continue();
  });
  await page.evaluate(() => {
    const session = JSON.parse(localStorage.getItem("pollux.session") ?? "{}") as Record<string, unknown>;
    localStorage.setItem("pollux.session", JSON.stringify({ ...session, refreshAt: 0 }));
  });
  const other = await context.newPage();
  await Promise.all([page.reload(), other.goto("/")]);
  // Both tabs need a token before the first refresh has ended.
  for (const tab of [page, other]) await expect(tab.getByRole("textbox", { name: "Message" })).toBeVisible();
  gate.open();
  gate.open();
  for (const tab of [page, other]) await expect(tab.getByText("Connected", { exact: true })).toBeVisible();
  expect(refreshes).toHaveLength(1);
});

test("drafts_survive_a_reload", async ({ page }) => {
  await signIn(page);
  const field = page.getByRole("textbox", { name: "Message" });
  await field.fill("Half of a thought");
  await page.reload();
  await expect(field).toHaveValue("Half of a thought");
});
