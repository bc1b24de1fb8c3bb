// Changes to the messages of a chatroom's active branch. Pure functions; null means that the list has to be read again.
import type { MessagePartsFragment } from "../generated/operations";
import type { OutboxMessage } from "../outbox/outbox";
import { isFinal } from "../replies/reducer";

export type Message = MessagePartsFragment;

/** The id of the element that shows a message. */
export const messageElementId = (id: string) => `message-${id}`;

/**
 * Adds a message after the one that it answers. What followed there is on another branch now, such as the old version of a
 * regenerated reply.
 */
export function insertMessage(messages: readonly Message[], message: Message): readonly Message[] | null {
  if (messages.some(({ id }) => id === message.id)) return changeMessage(messages, message);
  if (message.inReplyTo === null) return [message];
  const parent = messages.findIndex(({ id }) => id === message.inReplyTo?.id);
  return parent === -1 ? null : [...messages.slice(0, parent + 1), message];
}

/** Replaces a message by its new state. An unknown one may be on another branch or newer than the list. */
export function changeMessage(messages: readonly Message[], message: Message): readonly Message[] | null {
  if (!messages.some(({ id }) => id === message.id)) return null;
  return messages.map((one) => (one.id === message.id ? newer(one, message) : one));
}

/** Applies an event. A message that is not on the current branch leaves the list, with what follows it. */
export function applyMessage(messages: readonly Message[], message: Message, isNew: boolean): readonly Message[] | null {
  const position = messages.findIndex(({ id }) => id === message.id);
  if (!message.isCurrent) return position === -1 ? messages : messages.slice(0, position);
  // A first message that is not new may be older than the list.
  if (position === -1 && message.inReplyTo === null && !isNew) return null;
  return insertMessage(messages, message);
}

/** Responses and events overtake each other: a reply that has ended does not return to an earlier state. */
const newer = (known: Message, received: Message) => (isFinal(known.status) && !isFinal(received.status) ? known : received);

/** Replaces the end of the list by the newest page. Older messages stay if the page continues them. */
export function mergeNewestPage(messages: readonly Message[], page: readonly Message[]): readonly Message[] {
  const first = page[0];
  const position = messages.findIndex(({ id }) => id === first?.id);
  const known = new Map(messages.map((message) => [message.id, message]));
  const newest = page.map((message) => newer(known.get(message.id) ?? message, message));
  return position <= 0 ? newest : [...messages.slice(0, position), ...newest];
}

/**
 * The messages of the outbox that the list does not contain yet. The server may have stored one whose response is still on
 * the way: then the list has a message with its content after the one that it was written after.
 */
export function undelivered(messages: readonly Message[], outbox: readonly OutboxMessage[]): readonly OutboxMessage[] {
  const matched = new Set<string>();
  return outbox.filter(({ content, after }) => {
    const since = messages.findIndex(({ id }) => id === after) + 1;
    const stored = messages
      .slice(since)
      .find((one) => one.role === "USER" && one.content === content && !matched.has(one.id));
    if (stored) matched.add(stored.id);
    return !stored;
  });
}
