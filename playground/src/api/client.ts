// The GraphQL client: queries and mutations over HTTP, subscriptions over the WebSocket.
//
// It has no cache: chatrooms and messages live in stores that events keep current, and other views read what they show.
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { authorizedFetch } from "./authorizedFetch";
import { GRAPHQL_URL } from "./endpoint";
import { socket } from "./socket";

export const client = new Client({
  url: GRAPHQL_URL,
  fetch: authorizedFetch,
  preferGetMethod: false,
  requestPolicy: "network-only",
  exchanges: [
    subscriptionExchange({
      forwardSubscription: ({ query = "", variables }) => ({
        subscribe: (sink) => ({
          unsubscribe: socket.subscribe({ query, variables: variables as Record<string, unknown> }, sink as never),
        }),
      }),
    }),
    fetchExchange,
  ],
});
