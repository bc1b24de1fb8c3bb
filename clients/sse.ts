// graphql-sse: subscriptions over Server-Sent Events, and queries and mutations the same way.
import { print } from "graphql";
import { createClient } from "graphql-sse";
import { FollowDocument, type FollowSubscription } from "./generated/operations";
import { scenario } from "./scenario";

scenario((url, token) => {
  const client = createClient({
    url,
    headers: token ? { authorization: `Bearer ${token}` } : {},
    retryAttempts: 0, // follow.ts reconnects with the cursor
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
