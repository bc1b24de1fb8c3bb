// subscriptions-transport-ws, which is no longer maintained: the old subprotocol, `graphql-ws`.
import { print } from "graphql";
import { SubscriptionClient } from "subscriptions-transport-ws";
import WebSocket from "ws";
import { FollowDocument, type FollowSubscription } from "./generated/operations";
import { scenario } from "./scenario";

scenario((url, token) => {
  const client = new SubscriptionClient(
    url.replace("http", "ws"),
    { reconnect: true, connectionParams: token ? { authorization: `Bearer ${token}` } : {} },
    WebSocket, // not needed in a browser
  );
  return {
    request: (document, variables) =>
      new Promise<any>((resolve, reject) => {
        // Otherwise it would retry forever.
        const off = client.onError(reject);
        client.request({ query: print(document), variables }).subscribe({
          next: (result) => (off(), result.errors ? reject(result) : resolve(result.data)),
          error: reject,
        });
      }),
    follow(variables, sink) {
      const subscription = client.request({ query: print(FollowDocument), variables }).subscribe({
        next: ({ data }) => data && sink.event((data as FollowSubscription).replyStream),
        error: sink.broken,
      });
      // By itself it would resubscribe with the same variables, and therefore from the beginning.
      const lost = client.onDisconnected(() => {
        stop();
        sink.broken();
      });
      const stop = () => {
        lost();
        subscription.unsubscribe();
      };
      return stop;
    },
    close: () => client.close(),
  };
});
