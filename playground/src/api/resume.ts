// A subscription that survives broken connections, expired tokens and restarts of the server.
//
//   subscribe(variables()) ──► events ──► onEvent: the caller keeps the cursor of the last one
//          ▲                     │
//          │   backoff, or at    ▼
//          └── once when online ── broken, closed, or a temporary error
//
// `variables` is called for each attempt, so that it can return the newest cursor.
import type { AnyVariables, TypedDocumentNode } from "@urql/core";
import { onEnd, pipe, subscribe } from "wonka";
import { backoffDelay, wait } from "./backoff";
import { client } from "./client";
import { type ApiError, toApiError } from "./errors";
import { accessToken } from "./tokens";

/** What to do after an event. `resubscribe` starts again at once with new variables. */
export type Next = "continue" | "resubscribe" | "finish";

interface Options<Data, Variables> {
  document: TypedDocumentNode<Data, Variables>;
  variables: () => Variables;
  onEvent: (data: Data) => Next;
  /** The subscription cannot be established, such as for an object that does not exist; it is not retried. */
  onError?: (error: ApiError) => void;
}

interface Attempt {
  ended: "finish" | "resubscribe" | "broken";
  events: number;
  error?: ApiError;
}

/** Returns a function that unsubscribes. */
export function subscribeWithResume<Data, Variables extends AnyVariables>(options: Options<Data, Variables>): () => void {
  const abort = new AbortController();
  void run(options, abort.signal);
  return () => abort.abort();
}

async function run<Data, Variables extends AnyVariables>(
  options: Options<Data, Variables>,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 0; !signal.aborted;) {
    const attempt = await subscribeOnce(options, signal);
    if (attempt.ended === "finish") return;
    if (attempt.ended === "resubscribe") continue;
    const error = attempt.error;
    if (error && !error.isTemporary && error.code !== "UNAUTHENTICATED") return options.onError?.(error);
    failures = attempt.events > 0 ? 0 : failures + 1;
    await wait(error?.details.retryAfter ? error.details.retryAfter * 1000 : backoffDelay(failures), signal);
  }
}

async function subscribeOnce<Data, Variables extends AnyVariables>(
  { document, variables, onEvent }: Options<Data, Variables>,
  signal: AbortSignal,
): Promise<Attempt> {
  try {
    // The socket would only report that it was closed; this request distinguishes a session that has ended from a lost network.
    if (!(await accessToken())) return { events: 0, ended: "finish" };
  } catch (error) {
    return { events: 0, ended: "broken", error: toApiError(error) };
  }
  if (signal.aborted) return { events: 0, ended: "finish" };
  return new Promise((resolve) => {
    let events = 0;
    const settle = (attempt: Attempt) => {
      signal.removeEventListener("abort", abort);
      resolve(attempt);
      // urql calls back synchronously while it subscribes, when `subscription` does not exist yet.
      queueMicrotask(() => subscription.unsubscribe());
    };
    const abort = () => settle({ events, ended: "finish" });
    signal.addEventListener("abort", abort);
    let settled = false;
    const subscription = pipe(
      client.subscription(document, variables()),
      onEnd(() => {
        if (!settled) settle({ events, ended: "broken" });
        settled = true;
      }),
      subscribe(({ data, error }) => {
        if (settled || signal.aborted) return;
        if (error) {
          settled = true;
          return settle({ events, ended: "broken", error: toApiError(error) });
        }
        if (!data) return;
        events += 1;
        const next = onEvent(data);
        if (next === "continue") return;
        settled = true;
        settle({ events, ended: next });
      }),
    );
  });
}
