// Unsent text of the message field, for each chatroom, in localStorage.
import { persistent } from "../ui/storage";

const PREFIX = "pollux.draft.";

const keyOf = (userId: string, chatroomId: string | null) => `${PREFIX}${userId}.${chatroomId ?? "new"}`;

export const readDraft = (userId: string, chatroomId: string | null) =>
  persistent.read<string>(keyOf(userId, chatroomId)) ?? "";

export function saveDraft(userId: string, chatroomId: string | null, text: string): void {
  const key = keyOf(userId, chatroomId);
  if (text === "") persistent.remove(key);
  else persistent.write(key, text);
}

export function forgetDrafts(): void {
  for (const key of persistent.keys(PREFIX)) persistent.remove(key);
}
