// Apollo Client 4 without a WebSocket: its HTTP link uses multipart subscriptions.
import { ApolloClient, HttpLink, InMemoryCache } from "@apollo/client";
import { FollowDocument } from "./generated/operations";
import { scenario } from "./scenario";

scenario((url, token) => {
  const headers: Record<string, string> = token ? { authorization: `Bearer ${token}` } : {};
  const client = new ApolloClient({ cache: new InMemoryCache(), link: new HttpLink({ uri: url, headers }) });
  return {
    async request(mutation, variables) {
      return (await client.mutate<any, any>({ mutation, variables, fetchPolicy: "no-cache" })).data;
    },
    follow(variables, sink) {
      const subscription = client.subscribe({ query: FollowDocument, variables, fetchPolicy: "no-cache" }).subscribe({
        next: ({ data, error }) => (error ? sink.broken(error) : data && sink.event(data.replyStream)),
        error: sink.broken,
        complete: () => sink.broken(),
      });
      return () => subscription.unsubscribe();
    },
    close: () => client.stop(),
  };
});
