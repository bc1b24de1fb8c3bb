// Follows a reply through anything, with any client: keep its text and the last cursor, and come back with it.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { isSignedOut } from "./errors";
import type { FollowSubscription } from "./generated/operations";

/** What a client can do; each file beside this one shows how with one of them. */
export interface Client {
  /** Rejects with an error that has GraphQL's `errors`. */
  request<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data>;
  /** Subscribes to Follow once; gives what ends it. */
  follow(variables: { reply: string; after: string | null }, sink: Sink): () => void;
  close(): void;
}

export interface Sink {
  event(event: FollowSubscription["replyStream"]): void;
  /** The connection is lost, or the server asks to come back. */
  broken(failure?: unknown): void;
}

export interface Reply {
  text: string;
  /** How it ended: ReplyCompleted, ReplyFailed or ReplyCancelled. */
  end: string;
  /** How often the connection was lost. */
  breaks: number;
}

export function follow(client: Client, reply: string, onText: (text: string) => void, onBreak: () => void): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const so_far = { text: "", cursor: null as string | null, breaks: 0 };
    const subscribe = () => {
      let over = false;
      const stop = client.follow({ reply, after: so_far.cursor }, {
        event(event) {
          so_far.cursor = event.cursor;
          switch (event.__typename) {
            case "ReplyDelta":
              so_far.text += event.text;
              return onText(so_far.text);
            case "ReplyRestarted":
              so_far.text = "";
              return onText("");
            default:
              over = true;
              stop();
              resolve({ text: so_far.text, end: event.__typename, breaks: so_far.breaks });
          }
        },
        broken(failure) {
          if (over) return;
          over = true;
          if (isSignedOut(failure)) return reject(failure);
          so_far.breaks += 1;
          onBreak();
          setTimeout(subscribe, 100);
        },
      });
    };
    subscribe();
  });
}
