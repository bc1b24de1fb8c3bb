// The fixtures of all browser tests: a server with its stand-ins for each worker, and pages whose requests are watched.
import { type BrowserContext, test as base } from "@playwright/test";
import { Gemini } from "./gemini";
import { Network } from "./network";
import { Pollux } from "./pollux";
import { Stripe } from "./stripe";

export interface Backend {
  /** The address of the page and the API. */
  url: string;
  gemini: Gemini;
  stripe: Stripe;
  network: Network;
}

interface WorkerFixtures {
  /** Settings of the server; a file with other settings gets a server of its own. */
  settings: Record<string, string>;
  running: Backend;
}

interface TestFixtures {
  backend: Backend;
  /** Requests to other origins that the test expects, such as to Stripe's pages. */
  allowedOrigins: string[];
  watched: undefined;
}

export const test = base.extend<TestFixtures, WorkerFixtures>({
  settings: [{}, { option: true, scope: "worker" }],
  allowedOrigins: [[], { option: true }],

  running: [
    async ({ settings }, use) => {
      const [gemini, stripe, network] = [await Gemini.start(), await Stripe.start(), await Network.start()];
      const url = `http://127.0.0.1:${network.port}`;
      const pollux = await Pollux.start({
        GEMINI_API_KEY: "test-key",
        GEMINI_BASE_URL: `http://127.0.0.1:${gemini.port}`,
        ...stripe.environment(url),
        ...settings,
      });
      network.target = pollux.port;
      await use({ url, gemini, stripe, network });
      network.close();
      await pollux.stop();
      gemini.close();
      stripe.close();
    },
    { scope: "worker", timeout: 60_000 },
  ],

  backend: async ({ running }, use) => {
    running.gemini.reset();
    running.network.restore();
    await use(running);
  },

  baseURL: async ({ running }, use) => use(running.url),

  // Every test also checks that no request leaves the origin and that the content security policy blocks nothing.
  watched: [
    async ({ context, backend, allowedOrigins }, use) => {
      const problems = watch(context, [backend.url, ...allowedOrigins]);
      await use(undefined);
      if (problems.length > 0) throw new Error(problems.join("\n"));
    },
    { auto: true },
  ],
});

function watch(context: BrowserContext, origins: readonly string[]): string[] {
  const problems: string[] = [];
  const isAllowed = (url: string) =>
    /^(data|blob|about):/.test(url) || origins.some((origin) => url.replace(/^ws/, "http").startsWith(origin));
  context.on("request", (request) => {
    if (!isAllowed(request.url())) problems.push(`a request left the origin: ${request.url()}`);
  });
  context.on("page", (page) => {
    page.on("websocket", (socket) => {
      if (!isAllowed(socket.url())) problems.push(`a socket left the origin: ${socket.url()}`);
    });
    page.on("pageerror", (error) => problems.push(`uncaught: ${error.message}`));
    page.on("console", (message) => {
      if (message.text().includes("Content Security Policy")) problems.push(message.text());
    });
  });
  return problems;
}

export { expect } from "@playwright/test";
