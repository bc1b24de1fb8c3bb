// Assembles the text of a reply from its events. Pure: no network, no clock, no DOM.
//
//   WAITING ──► STREAMING ──► COMPLETED | FAILED | CANCELLED
//      ▲            │
//      └────────────┘ ReplyRestarted: a new attempt; the text is discarded
//
// A cursor is opaque: it is compared for equality and sent back to the server, never parsed. This is enough:
// - an event whose cursor was seen before is a duplicate;
// - the event that ends a reply has the cursor of the end of its text, so a different cursor means that text is missing.
import type { FollowReplySubscription, MessageStatus, ReplyFailureCode } from "../generated/operations";

export type ReplyEvent = FollowReplySubscription["replyStream"];

export interface ReplyFailure {
  code: ReplyFailureCode;
  message: string;
  retryable: boolean;
}

export interface ReplyState {
  text: string;
  /** The end of `text`: where to resume. Null: from the beginning. */
  cursor: string | null;
  status: MessageStatus;
  failure: ReplyFailure | null;
  /** The attempt of the last restart. */
  attempt: number;
  /** The newest cursors of this attempt, to detect duplicates. */
  recent: readonly string[];
  /** Text is missing after `cursor`: subscribe again there. */
  hasGap: boolean;
  /** The end was received at this cursor and the gap was requested once; a second end there is accepted. */
  gapRequestedAt: string | null | undefined;
}

const MAX_RECENT = 32;

export const isFinal = (status: MessageStatus) => status !== "QUEUED" && status !== "STREAMING";

export function initialReply(message: {
  content: string;
  cursor: string | null;
  status: MessageStatus;
  failure?: ReplyFailure | null;
}): ReplyState {
  return {
    text: message.content,
    cursor: message.cursor,
    status: message.status,
    failure: message.failure ?? null,
    attempt: 1,
    recent: [],
    hasGap: false,
    gapRequestedAt: undefined,
  };
}

export function reduceReply(state: ReplyState, event: ReplyEvent): ReplyState {
  if (isFinal(state.status)) return state;
  switch (event.__typename) {
    case "ReplyDelta":
      if (event.cursor === state.cursor || state.recent.includes(event.cursor)) return state;
      return {
        ...state,
        text: state.text + event.text,
        cursor: event.cursor,
        status: "STREAMING",
        recent: [...state.recent.slice(1 - MAX_RECENT), event.cursor],
      };
    case "ReplyRestarted":
      if (event.cursor === state.cursor) return state;
      return {
        ...state,
        text: "",
        cursor: event.cursor,
        status: "STREAMING",
        attempt: event.attempt,
        recent: [],
        gapRequestedAt: undefined,
      };
    case "ReplyCompleted":
      return end(state, event.cursor, "COMPLETED", null);
    case "ReplyFailed":
      return end(state, event.cursor, "FAILED", event.failure);
    case "ReplyCancelled":
      return end(state, event.cursor, "CANCELLED", null);
  }
}

function end(state: ReplyState, cursor: string, status: MessageStatus, failure: ReplyFailure | null): ReplyState {
  const isComplete = cursor === state.cursor || state.gapRequestedAt === state.cursor;
  if (!isComplete) return { ...state, hasGap: true };
  return { ...state, cursor, status, failure, hasGap: false };
}

/** The caller has subscribed again after `cursor`. */
export function requestGap(state: ReplyState): ReplyState {
  return { ...state, hasGap: false, gapRequestedAt: state.cursor };
}
