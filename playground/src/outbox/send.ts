import { addToOutbox, type OutboxMessage, removeFromOutbox, updateInOutbox } from "./outbox";

/** Stores a message in the outbox, which delivers it. Returns its idempotency key. */
export function sendMessage(message: Pick<OutboxMessage, "chatroomId" | "model" | "content" | "after">): string {
  const key = newKey();
  addToOutbox({ ...message, key, rejection: null });
  return key;
}

/** Sends a rejected message again. */
export const retryMessage = (key: string) => updateInOutbox(key, { rejection: null });

export const discardMessage = removeFromOutbox;

/** crypto.randomUUID needs a secure context, which a server in the local network does not have. */
function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
