// Executes operations with the headers of the editor: queries and mutations over HTTP, subscriptions over a WebSocket.
//
// A header with a token of this page's session always gets the current one, so that it works longer than a token is valid.
import { getOperationAST, OperationTypeNode, parse } from "graphql";
import { createClient } from "graphql-ws";
import type { GraphiQL } from "graphiql";
import type { ComponentProps } from "react";
import { GRAPHQL_URL, SOCKET_URL } from "../api/endpoint";
import { accessToken, sessionStore } from "../api/tokens";

type Fetcher = ComponentProps<typeof GraphiQL>["fetcher"];
type Headers = Record<string, string>;

const ownTokens = new Set<string>();
const remember = () => {
  const { session } = sessionStore.get();
  if (session) ownTokens.add(`Bearer ${session.accessToken}`);
};
remember();
sessionStore.subscribe(remember);

async function withCurrentToken(headers: Headers): Promise<Headers> {
  const name = Object.keys(headers).find((key) => key.toLowerCase() === "authorization");
  if (name === undefined || !ownTokens.has(headers[name] ?? "")) return headers;
  const token = await accessToken();
  return token === null ? headers : { ...headers, [name]: `Bearer ${token}` };
}

export const fetcher: Fetcher = async ({ query, variables, operationName }, options) => {
  const headers = await withCurrentToken(options?.headers ?? {});
  const document = options?.documentAST ?? parse(query);
  const payload = { query, variables: variables as Record<string, unknown>, operationName };
  if (getOperationAST(document, operationName)?.operation === OperationTypeNode.SUBSCRIPTION)
    return subscribe(payload, headers);
  const response = await fetch(GRAPHQL_URL, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/graphql-response+json, application/json",
      ...headers,
    },
    body: JSON.stringify(payload),
  });
  return (await response.json()) as never;
};

/** A socket for each subscription, because a socket has the headers of its first operation. */
function subscribe(payload: Parameters<ReturnType<typeof createClient>["iterate"]>[0], headers: Headers) {
  const client = createClient({ url: SOCKET_URL, connectionParams: { headers }, retryAttempts: 0 });
  return client.iterate(payload) as AsyncIterableIterator<never>;
}
