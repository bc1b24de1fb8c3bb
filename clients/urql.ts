// urql: mutations over HTTP, subscriptions over graphql-ws.
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { createClient } from "graphql-ws";
import WebSocket from "ws";
import { FollowDocument } from "./generated/operations";
import { scenario } from "./scenario";

scenario((url, token) => {
  const authorization = token && `Bearer ${token}`;
  const socket = createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket, // not needed in a browser
    connectionParams: authorization ? { authorization } : {},
    retryAttempts: 0, // follow.ts reconnects with the cursor
    lazyCloseTimeout: 5_000, // keeps the socket open between operations
  });
  const client = new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: authorization ? { authorization } : {} },
    exchanges: [
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables: variables as any }, sink as any) }),
        }),
      }),
    ],
  });
  return {
    async request(document, variables) {
      const { data, error } = await client.mutation<any, any>(document, variables);
      if (error) throw error.networkError ?? error;
      return data;
    },
    follow(variables, sink) {
      const { unsubscribe } = client.subscription(FollowDocument, variables).subscribe(({ data, error }) => {
        if (error) sink.broken(error.networkError ?? error);
        else if (data) sink.event(data.replyStream);
      });
      return unsubscribe;
    },
    close: () => socket.dispose(),
  };
});
