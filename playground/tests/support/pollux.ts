// A Pollux server of its own: the real binary on a free port, with its own directory and database.
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "./ports";

const ROOT = resolve(import.meta.dirname, "../../..");
const TARGET = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? "target");
const BINARY = resolve(process.env.POLLUX_TEST_BINARY ?? join(TARGET, "debug/pollux"));
const START_TIMEOUT_MS = 30_000;

export class Pollux {
  private constructor(
    private readonly process: ChildProcess,
    private readonly directory: string,
    readonly port: number,
  ) {}

  static async start(environment: Record<string, string>): Promise<Pollux> {
    const directory = mkdtempSync(join(tmpdir(), "pollux-browser-"));
    const port = await freePort();
    const log: string[] = [];
    const child = spawn(BINARY, {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env.PATH,
        BIND: `127.0.0.1:${port}`,
        METRICS_BIND: "off",
        ...storage(directory),
        RATE_LIMITS: "off",
        ...environment,
      },
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (part: string) => log.push(part));
    }
    const pollux = new Pollux(child, directory, port);
    const deadline = Date.now() + START_TIMEOUT_MS;
    for (;;) {
      const isReady = await fetch(`http://127.0.0.1:${port}/health/ready`)
        .then((response) => response.ok)
        .catch(() => false);
      if (isReady) return pollux;
      if (child.exitCode !== null || Date.now() > deadline) {
        await pollux.stop();
        throw new Error(`${BINARY} did not start:\n${log.join("")}`);
      }
      await sleep(50);
    }
  }

  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      const exited = new Promise((resolve) => this.process.once("exit", resolve));
      this.process.kill("SIGKILL");
      await exited;
    }
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** A new database: on the servers of `tests/with-servers` if they run, otherwise a SQLite file in the directory. */
function storage(directory: string): Record<string, string> {
  const { POLLUX_TEST_POSTGRES: postgres, POLLUX_TEST_REDIS: redis } = process.env;
  if (postgres === undefined || redis === undefined) return { DATABASE_URL: `sqlite://${directory}/pollux.db` };
  const name = `browser_${randomBytes(8).toString("hex")}`;
  execFileSync("psql", ["--quiet", `${postgres}/postgres`, "--command", `CREATE DATABASE ${name}`]);
  return {
    DATABASE_URL: `${postgres}/${name}`,
    REDIS_URL: `${redis}/${String(randomInt(1, 10_000))}`,
    JWT_SECRET: randomBytes(32).toString("hex"),
  };
}
