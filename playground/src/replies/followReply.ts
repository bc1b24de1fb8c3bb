// Follows one reply from a message of the server to its end: resumes by cursor, applies events once per frame, and keeps the
// text so far in sessionStorage.
import { subscribeWithResume } from "../api/resume";
import { FollowReplyDocument } from "../generated/operations";
import { createStore, type Store } from "../ui/store";
import { onNextFrame } from "./frames";
import {
  initialReply,
  isFinal,
  reduceReply,
  type ReplyEvent,
  type ReplyFailure,
  type ReplyState,
  requestGap,
} from "./reducer";
import { forgetReply, readSavedReply, saveReply } from "./savedReply";
import type { MessageStatus } from "../generated/operations";

const SAVE_EVERY_MS = 1_000;

export interface ReplyMessage {
  id: string;
  content: string;
  cursor: string | null;
  status: MessageStatus;
  failure?: ReplyFailure | null;
}

export interface FollowedReply extends Pick<Store<ReplyState>, "get" | "subscribe"> {
  /** Stops following, such as when another chatroom is opened. */
  close: () => void;
}

/** A reply that has ended is not followed: its store never changes. */
export function followReply(message: ReplyMessage, onEnd: (state: ReplyState) => void): FollowedReply {
  const { id } = message;
  if (isFinal(message.status)) {
    forgetReply(id);
    return { ...createStore(initialReply(message)), close: () => undefined };
  }

  // Text and cursor belong together, so either pair can be continued. The saved one is what the reader saw before the reload.
  const saved = readSavedReply(id);
  const start = saved ? { ...message, content: saved.text, cursor: saved.cursor } : message;
  const store = createStore(initialReply(start));
  // Events that the store does not show yet.
  let state = store.get();

  const frames = onNextFrame(() => store.set(state));
  const save = () => saveReply(id, state);
  const saving = setInterval(save, SAVE_EVERY_MS);
  window.addEventListener("pagehide", save);

  const subscribe = () =>
    subscribeWithResume({
      document: FollowReplyDocument,
      variables: () => ({ messageId: id, after: state.cursor }),
      onEvent({ replyStream }: { replyStream: ReplyEvent }) {
        state = reduceReply(state, replyStream);
        frames.request();
        if (state.hasGap) {
          state = requestGap(state);
          return "resubscribe";
        }
        if (!isFinal(state.status)) return "continue";
        finish();
        return "finish";
      },
      onError() {
        forgetReply(id);
        // The message was deleted, which the events of the chatroom report.
        if (state.cursor === null) return;
        // The server does not accept the cursor: follow the reply from its beginning.
        state = { ...initialReply({ ...message, content: "", cursor: null }), attempt: state.attempt };
        unsubscribe = subscribe();
      },
    });
  let unsubscribe = subscribe();

  function finish() {
    frames.flush();
    close();
    forgetReply(id);
    onEnd(state);
  }

  function close() {
    unsubscribe();
    clearInterval(saving);
    window.removeEventListener("pagehide", save);
  }

  return {
    get: store.get,
    subscribe: store.subscribe,
    close: () => {
      frames.flush();
      if (!isFinal(state.status)) save();
      close();
    },
  };
}
