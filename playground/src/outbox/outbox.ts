// Messages that the server has not confirmed yet, in localStorage: they survive a reload, and all tabs show them.
//
// Each message has an idempotency key from the moment it is typed. However often it is sent, by whichever tab, the server
// stores it once. deliver.ts sends them.
import { persistent } from "../ui/storage";
import { createStore } from "../ui/store";
import type { ErrorDetails } from "../api/errors";

export interface OutboxMessage {
  /** The idempotency key. */
  key: string;
  /** Null: the chatroom is created first. */
  chatroomId: string | null;
  /** Of the chatroom to create; null: the default model. */
  model: string | null;
  /** Of the chatroom to create. */
  isTemporary: boolean;
  content: string;
  /** The newest message of the chatroom when this one was written. */
  after: string | null;
  /** Why the server rejected the message. It is not sent again until the user retries. */
  rejection: { code: string; message: string; details: ErrorDetails } | null;
}

const PREFIX = "pollux.outbox.";

export const outboxStore = createStore<readonly OutboxMessage[]>([]);

let storageKey: string | null = null;
/** False if the storage is blocked or full: then the messages live in this tab only. */
let isStored = true;

/** Opens the outbox of a user. */
export function openOutbox(userId: string): void {
  storageKey = PREFIX + userId;
  outboxStore.set(readOutbox());
}

export function closeOutbox(): void {
  storageKey = null;
  outboxStore.set([]);
}

/** The messages as stored: another tab may have delivered some. */
export function readOutbox(): readonly OutboxMessage[] {
  if (storageKey === null) return [];
  return isStored ? (persistent.read<OutboxMessage[]>(storageKey) ?? []) : outboxStore.get();
}

/** Removes the messages of all users from this browser. */
export function forgetOutbox(): void {
  for (const key of persistent.keys(PREFIX)) persistent.remove(key);
}

window.addEventListener("storage", ({ key }) => {
  if (key !== null && key === storageKey) outboxStore.set(readOutbox());
});

function change(update: (messages: readonly OutboxMessage[]) => readonly OutboxMessage[]): void {
  if (storageKey === null) return;
  const messages = update(readOutbox());
  isStored = persistent.write(storageKey, messages);
  outboxStore.set(messages);
}

export const addToOutbox = (message: OutboxMessage) => change((messages) => [...messages, message]);

export const removeFromOutbox = (key: string) => change((messages) => messages.filter((message) => message.key !== key));

export function updateInOutbox(key: string, fields: Partial<OutboxMessage>): void {
  change((messages) => messages.map((message) => (message.key === key ? { ...message, ...fields } : message)));
}
