// graphql-ws alone: queries, mutations and subscriptions on one WebSocket.
import { print } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { FollowDocument, type FollowSubscription } from "./generated/operations";
import { scenario } from "./scenario";

scenario((url, token) => {
  const client = createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket, // not needed in a browser
    connectionParams: token ? { authorization: `Bearer ${token}` } : {},
    retryAttempts: 0, // follow.ts reconnects with the cursor
    lazyCloseTimeout: 5_000, // keeps the socket open between operations: an operation that starts while it closes would fail
  });
  return {
    async request(document, variables) {
      const { value } = await client.iterate<any>({ query: print(document), variables }).next();
      if (value.errors) throw value;
      return value.data;
    },
    follow: (variables, sink) =>
      client.subscribe<FollowSubscription>(
        { query: print(FollowDocument), variables },
        { next: ({ data }) => data && sink.event(data.replyStream), error: sink.broken, complete: () => {} },
      ),
    close: () => client.dispose(),
  };
});
