// The text so far and its cursor in sessionStorage, so that a reload shows the text at once and continues after it.
import { perTab } from "../ui/storage";
import type { ReplyState } from "./reducer";

const PREFIX = "pollux.reply.";

interface SavedReply {
  text: string;
  cursor: string | null;
}

export const readSavedReply = (id: string) => perTab.read<SavedReply>(PREFIX + id);

export function saveReply(id: string, { text, cursor }: ReplyState): void {
  perTab.write(PREFIX + id, { text, cursor } satisfies SavedReply);
}

export const forgetReply = (id: string) => perTab.remove(PREFIX + id);

export function forgetAllReplies(): void {
  for (const key of perTab.keys(PREFIX)) perTab.remove(key);
}
