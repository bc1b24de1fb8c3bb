import { expect, test } from "../support/fixtures";
import { replyText, send, signIn } from "../support/steps";

const MAX_FIRST_LOAD = 250 * 1024;

test("the_first_load_of_the_chat_is_at_most_250_kib_compressed", async ({ page }) => {
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("Network.enable");
  let received = 0;
  const requested: string[] = [];
  cdp.on("Network.loadingFinished", ({ encodedDataLength }) => (received += encodedDataLength));
  page.on("request", (request) => requested.push(request.url()));
  await signIn(page);
  await send(page, "Hello");
  await expect(replyText(page)).toHaveText("Yes.");
  expect(received).toBeGreaterThan(50 * 1024);
  expect(received).toBeLessThanOrEqual(MAX_FIRST_LOAD);
  expect(requested.filter((url) => /graphiql|monaco|highlight|AccountView/.test(url))).toEqual([]);
  console.log(`first load until the first reply: ${(received / 1024).toFixed(1)} KiB`);
});
