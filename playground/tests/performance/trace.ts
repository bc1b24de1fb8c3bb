// A trace of Chromium, reduced to the tasks of the page's main thread.
import type { Page } from "@playwright/test";

interface TraceEvent {
  name: string;
  ph: string;
  pid: number;
  tid: number;
  /** Microseconds: from start to end, and of the processor. */
  dur?: number;
  tdur?: number;
  args?: { name?: string };
}

export interface Task {
  elapsedMs: number;
  /** Without the time in which the system ran something else on this processor. */
  cpuMs: number;
}

/** Starts a trace. Returns a function that ends it and returns its tasks, the longest first. */
export async function traceTasks(page: Page): Promise<() => Promise<Task[]>> {
  const cdp = await page.context().newCDPSession(page);
  const events: TraceEvent[] = [];
  cdp.on("Tracing.dataCollected", ({ value }) => events.push(...(value as unknown as TraceEvent[])));
  await cdp.send("Tracing.start", { categories: "toplevel,__metadata", transferMode: "ReportEvents" });
  return async () => {
    const complete = new Promise((resolve) => cdp.once("Tracing.tracingComplete", resolve));
    await cdp.send("Tracing.end");
    await complete;
    const thread = ({ pid, tid }: TraceEvent) => `${pid}.${tid}`;
    const main = new Set(
      events.filter(({ name, args }) => name === "thread_name" && args?.name === "CrRendererMain").map(thread),
    );
    const tasks = events.filter((event) => event.ph === "X" && event.name.endsWith("RunTask") && main.has(thread(event)));
    return tasks
      .map(({ dur = 0, tdur = dur }) => ({ elapsedMs: dur / 1000, cpuMs: tdur / 1000 }))
      .sort((a, b) => b.cpuMs - a.cpuMs);
  };
}
