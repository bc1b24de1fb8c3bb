// Apollo Client 4: mutations over HTTP, subscriptions over graphql-ws.
import { ApolloClient, ApolloLink, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
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
  const client = new ApolloClient({
    cache: new InMemoryCache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: url, headers: authorization ? { authorization } : {} }),
    ),
  });
  return {
    async request(mutation, variables) {
      return (await client.mutate<any, any>({ mutation, variables, fetchPolicy: "no-cache" })).data;
    },
    follow(variables, sink) {
      const subscription = client.subscribe({ query: FollowDocument, variables, fetchPolicy: "no-cache" }).subscribe({
        next: ({ data, error }) => (error ? sink.broken(error) : data && sink.event(data.replyStream)),
        error: sink.broken,
      });
      return () => subscription.unsubscribe();
    },
    close: () => socket.dispose(),
  };
});
