// Follows a reply through broken connections, with any client: keeps its text and last cursor, and resubscribes with it.
import type { TypedDocumentNode } from "@graphql-typed-document-node/core";
import { isSignedOut } from "./errors";
import type { FollowSubscription } from "./generated/operations";

/** The operations of a client. Each of the other examples implements them with one library. */
export interface Client {
  /** Rejects with an error that contains the GraphQL `errors`. */
  request<Data, Variables extends Record<string, unknown>>(
    document: TypedDocumentNode<Data, Variables>,
    variables: Variables,
  ): Promise<Data>;
  /** Subscribes to Follow once. Returns a function that unsubscribes. */
  follow(variables: { reply: string; after: string | null }, sink: Sink): () => void;
  close(): void;
}

export interface Sink {
  event(event: FollowSubscription["replyStream"]): void;
  /** The connection broke, or the server closed it for a reconnect. */
  broken(failure?: unknown): void;
}

export interface Reply {
  text: string;
  /** How it ended: ReplyCompleted, ReplyFailed or ReplyCancelled. */
  end: string;
  /** How often the connection broke. */
  breaks: number;
}

export function follow(client: Client, reply: string, onText: (text: string) => void, onBreak: () => void): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const state = { text: "", cursor: null as string | null, breaks: 0 };
    const subscribe = () => {
      let over = false;
      const stop = client.follow({ reply, after: state.cursor }, {
        event(event) {
          state.cursor = event.cursor;
          switch (event.__typename) {
            case "ReplyDelta":
              state.text += event.text;
              return onText(state.text);
            case "ReplyRestarted":
              state.text = "";
              return onText("");
            default:
              over = true;
              stop();
              resolve({ text: state.text, end: event.__typename, breaks: state.breaks });
          }
        },
        broken(failure) {
          if (over) return;
          over = true;
          if (isSignedOut(failure)) return reject(failure);
          state.breaks += 1;
          onBreak();
          setTimeout(subscribe, 100);
        },
      });
    };
    subscribe();
  });
}
