import { newKey } from "../api/idempotencyKey";
import { addToOutbox, type OutboxMessage, removeFromOutbox, updateInOutbox } from "./outbox";

/** Stores a message in the outbox, which delivers it. Returns its idempotency key. */
export function sendMessage(
  message: Pick<OutboxMessage, "chatroomId" | "model" | "isTemporary" | "content" | "after">,
): string {
  const key = newKey();
  addToOutbox({ ...message, key, rejection: null });
  return key;
}

/** Sends a rejected message again. */
export const retryMessage = (key: string) => updateInOutbox(key, { rejection: null });

export const discardMessage = removeFromOutbox;
