// The network of one device: counted HTTP requests, and a WebSocket whose events wait while a list is read.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { print } from "graphql";
import { createClient, type Client as Socket } from "graphql-ws";
import WebSocket from "ws";

export interface Network {
  url: string;
  headers: Record<string, string>;
  /** The operations that were sent over HTTP. */
  requests: string[];
  fetch: typeof fetch;
  socket: Socket;
  /** Holds events back until a read has ended, because its response may be older than they are. */
  holdEvents(read: Promise<unknown>): void;
}

export function connect(url: string, token: string): Network {
  const authorization = `Bearer ${token}`;
  const requests: string[] = [];
  const socket = createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket, // not needed in a browser
    connectionParams: { authorization },
    retryAttempts: Infinity, // a repeated subscription begins with what has changed
    shouldRetry: () => true,
    lazyCloseTimeout: 5_000, // keeps the socket open between operations
  });
  let reading: Promise<unknown> = Promise.resolve();
  let queue = Promise.resolve();
  const enqueue = (handle: () => void) => {
    queue = queue.then(async () => {
      await reading;
      handle();
    });
  };
  return {
    url,
    headers: { authorization },
    requests,
    fetch(input, init) {
      requests.push(/\w+/.exec(JSON.parse(String(init?.body)).query.replace(/^(query|mutation)/, ""))![0]);
      return fetch(input, init);
    },
    socket: {
      ...socket,
      subscribe: (payload, sink) =>
        socket.subscribe(payload, {
          next: (result) => enqueue(() => sink.next(result as never)),
          error: (failure) => enqueue(() => sink.error(failure)),
          complete: () => enqueue(() => sink.complete()),
        }),
    },
    holdEvents: (read) => void (reading = read),
  };
}

/** Sends an operation without any library. */
export async function request<Data, Variables>(
  { url, headers }: Pick<Network, "url" | "headers">,
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const body = JSON.stringify({ query: print(document), variables });
  const response = await fetch(url, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body });
  const { data, errors } = (await response.json()) as { data: Data; errors?: unknown };
  if (errors) throw errors;
  return data;
}
