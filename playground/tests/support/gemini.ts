// A stand-in for Gemini: speaks its streaming protocol and responds with the scripts of a test.
import { createServer, type Server, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import type { Gate } from "./gate";
import { listen } from "./ports";

type Step =
  | { kind: "text"; text: string }
  | { kind: "wait"; gate: Gate }
  | { kind: "pace"; intervalMs: number }
  | { kind: "finish"; reason: string }
  | { kind: "disconnect" };

/** What the server asks for after the first reply of a chatroom. */
const TITLE_REQUEST = "Write a title for our conversation";

/** The response to one call. */
export class Script {
  private constructor(
    readonly status: number,
    readonly steps: readonly Step[],
    readonly error: string | null = null,
  ) {}

  static start = () => new Script(200, []);

  /** A complete reply with one chunk for each text. */
  static reply = (...texts: string[]) => texts.reduce((script, text) => script.text(text), Script.start()).finish();

  /** An error in Gemini's format, which is not retried. */
  static rejection = (status: number, name: string) => new Script(status, [], name);

  text = (text: string) => this.with({ kind: "text", text });
  /** Continues when the test opens the gate. */
  wait = (gate: Gate) => this.with({ kind: "wait", gate });
  /** The interval between the following chunks. */
  pace = (intervalMs: number) => this.with({ kind: "pace", intervalMs });
  finish = (reason = "STOP") => this.with({ kind: "finish", reason });
  disconnect = () => this.with({ kind: "disconnect" });

  private with(step: Step): Script {
    return new Script(this.status, [...this.steps, step], this.error);
  }
}

export class Gemini {
  private scripts: Script[] = [];
  private titles: Script[] = [];
  /** The text of the last message of each call. */
  readonly prompts: string[] = [];

  private constructor(
    private readonly server: Server,
    readonly port: number,
  ) {}

  static async start(): Promise<Gemini> {
    const server = createServer();
    const gemini = new Gemini(server, await listen(server));
    server.on("request", (request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (part: string) => (body += part));
      request.on("end", () => void gemini.respond(body, response));
    });
    return gemini;
  }

  /** Queues the response to one call. Without one, the response is “Yes.” */
  enqueue(...scripts: Script[]): void {
    this.scripts.push(...scripts);
  }

  /** Queues a title for a chatroom. Without one, the title is the first message. */
  enqueueTitle(...titles: Script[]): void {
    this.titles.push(...titles);
  }

  reset(): void {
    this.scripts = [];
    this.titles = [];
    this.prompts.length = 0;
  }

  close(): void {
    this.server.close();
    this.server.closeAllConnections();
  }

  private async respond(body: string, response: ServerResponse): Promise<void> {
    const { contents } = JSON.parse(body) as { contents: { parts: { text: string }[] }[] };
    const text = (index: number) => contents.at(index)?.parts[0]?.text ?? "";
    const script = text(-1).startsWith(TITLE_REQUEST)
      ? (this.titles.shift() ?? Script.reply(text(0)))
      : (this.scripts.shift() ?? Script.reply("Yes", "."));
    if (!text(-1).startsWith(TITLE_REQUEST)) this.prompts.push(text(-1));
    if (script.error !== null) {
      response.writeHead(script.status, { "content-type": "application/json" });
      const error = { code: script.status, message: "A message of the provider.", status: script.error, details: [] };
      response.end(JSON.stringify({ error }));
      return;
    }
    response.writeHead(script.status, { "content-type": "text/event-stream" });
    const send = (event: unknown) => response.write(`data: ${JSON.stringify(event)}\r\n\r\n`);
    let interval = 0;
    let due = performance.now();
    for (const step of script.steps) {
      if (response.destroyed) return;
      if (step.kind === "wait") await step.gate.pass();
      if (step.kind === "pace") [interval, due] = [step.intervalMs, performance.now()];
      if (step.kind === "text") {
        // Against a schedule, so that late timers do not add up.
        due += interval;
        if (interval > 0) await sleep(Math.max(0, due - performance.now()));
        send(chunk(step.text));
      }
      if (step.kind === "finish") send(chunk("", step.reason));
      if (step.kind === "disconnect") return void response.destroy();
    }
    response.end();
  }
}

const chunk = (text: string, finishReason?: string) => ({
  candidates: [{ content: { parts: [{ text }], role: "model" }, index: 0, ...(finishReason && { finishReason }) }],
  usageMetadata: { promptTokenCount: 7, candidatesTokenCount: 5, totalTokenCount: 12 },
  modelVersion: "model-a-001",
  responseId: "r1",
});
