// Sends the messages of the outbox, one after the other, until the server has confirmed or rejected each.
//
// After a lost response it is unknown whether a message was stored: sending it again with the same key returns the first result.
import { setUsage } from "../account/accountStore";
import { backoffDelay, wait } from "../api/backoff";
import { toApiError } from "../api/errors";
import { mutate } from "../api/request";
import { type MessagePartsFragment, SendMessageDocument } from "../generated/operations";
import { createChatroom, touchChatroom } from "../sidebar/chatroomList";
import { type OutboxMessage, outboxStore, readOutbox, removeFromOutbox, updateInOutbox } from "./outbox";

const LOCK = "pollux.outbox";
const TITLE_LENGTH = 60;

interface Delivered {
  chatroomId: string;
  message: MessagePartsFragment;
  reply: MessagePartsFragment;
}

type Listener = (delivered: Delivered) => void;
const listeners = new Set<Listener>();

/** Calls the listener with each message that this tab has delivered. */
export function onDelivered(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Calls the listener when a chatroom was created for a message of this tab. */
export const createdChatrooms = new Set<(key: string, chatroomId: string) => void>();

let running = false;

/** Starts delivery unless it runs. One tab at a time sends; the others wait, and then find nothing left to do. */
export function deliverOutbox(signal: AbortSignal): void {
  if (running || nextMessage(outboxStore.get()) === undefined) return;
  running = true;
  const run = () => deliverAll(signal);
  const delivery = "locks" in navigator ? navigator.locks.request(LOCK, { signal }, run) : run();
  delivery
    .catch(() => undefined)
    .finally(() => {
      running = false;
      if (!signal.aborted && nextMessage(readOutbox()) !== undefined) deliverOutbox(signal);
    });
}

const nextMessage = (messages: readonly OutboxMessage[]) => messages.find(({ rejection }) => rejection === null);

async function deliverAll(signal: AbortSignal): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const next = nextMessage(readOutbox());
    if (!next) return;
    try {
      await deliver(next);
      failures = 0;
    } catch (failure) {
      const error = toApiError(failure);
      // Without a session, delivery is about to be aborted.
      if (error.isTemporary || error.code === "UNAUTHENTICATED") {
        failures += 1;
        await wait(
          error.details.retryAfter === undefined ? backoffDelay(failures) : error.details.retryAfter * 1000,
          signal,
        );
      } else {
        const { code, message, details } = error;
        updateInOutbox(next.key, { rejection: { code, message, details } });
      }
    }
  }
}

async function deliver({ key, chatroomId, model, isTemporary, content }: OutboxMessage): Promise<void> {
  if (chatroomId === null) {
    // The model gives other chatrooms a title.
    const title = isTemporary ? titleOf(content) : null;
    chatroomId = await createChatroom({ title, model, temporary: isTemporary, idempotencyKey: `${key}-chatroom` });
    updateInOutbox(key, { chatroomId });
    for (const listener of createdChatrooms) listener(key, chatroomId);
  }
  const { sendMessage } = await mutate(SendMessageDocument, { chatroomId, content, idempotencyKey: key });
  const { message, reply, usage } = sendMessage;
  for (const listener of listeners) listener({ chatroomId, message, reply });
  removeFromOutbox(key);
  touchChatroom(chatroomId, message.createdAt);
  setUsage(usage);
}

/** A title from the beginning of a message. */
export function titleOf(content: string): string {
  const line = content.trim().replace(/\s+/g, " ");
  const characters = Array.from(line);
  if (characters.length <= TITLE_LENGTH) return line;
  const cut = characters.slice(0, TITLE_LENGTH).join("");
  const lastSpace = cut.lastIndexOf(" ");
  return `${lastSpace > TITLE_LENGTH / 2 ? cut.slice(0, lastSpace) : cut}…`;
}
