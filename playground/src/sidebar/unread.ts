// Which chatrooms have a reply that this browser has not shown. The time of the newest reply that was shown is kept in
// localStorage for each chatroom; times are the server's, because the clock of a device can be wrong.
import { serverNow } from "../api/serverClock";
import { persistent } from "../ui/storage";
import { createStore } from "../ui/store";
import type { Chatroom } from "./chatroomList";

interface Viewed {
  /** Replies that ended before this time count as shown: this browser did not follow the account then. */
  since: number;
  /** The end of the newest reply that was shown, by chatroom. */
  chatrooms: Record<string, number>;
}

const PREFIX = "pollux.viewed.";
/** Of the oldest entries, the newest time becomes `since`. */
const MAX_CHATROOMS = 500;

export const viewedStore = createStore<Viewed>({ since: 0, chatrooms: {} });

let storageKey: string | null = null;

export function openViewed(userId: string): void {
  storageKey = PREFIX + userId;
  const stored = persistent.read<Viewed>(storageKey);
  if (stored) return viewedStore.set(stored);
  const first = { since: serverNow(), chatrooms: {} };
  persistent.write(storageKey, first);
  viewedStore.set(first);
}

export function closeViewed(): void {
  storageKey = null;
}

window.addEventListener("storage", ({ key }) => {
  if (key === null || key !== storageKey) return;
  const stored = persistent.read<Viewed>(key);
  if (stored) viewedStore.set(stored);
});

const replyEnd = ({ lastMessage }: Chatroom): number =>
  lastMessage?.role === "MODEL" && lastMessage.completedAt !== null ? Date.parse(lastMessage.completedAt) : 0;

export const isUnread = (chatroom: Chatroom, { since, chatrooms }: Viewed): boolean =>
  replyEnd(chatroom) > (chatrooms[chatroom.id] ?? since);

/** Records that the newest reply of a chatroom is shown. */
export function markViewed(chatroom: Chatroom): void {
  const viewed = viewedStore.get();
  if (storageKey === null || !isUnread(chatroom, viewed)) return;
  const chatrooms = { ...viewed.chatrooms, [chatroom.id]: replyEnd(chatroom) };
  const next = bounded({ ...viewed, chatrooms });
  persistent.write(storageKey, next);
  viewedStore.set(next);
}

function bounded(viewed: Viewed): Viewed {
  const entries = Object.entries(viewed.chatrooms).sort(([, one], [, other]) => other - one);
  if (entries.length <= MAX_CHATROOMS) return viewed;
  const since = Math.max(viewed.since, entries[MAX_CHATROOMS]?.[1] ?? 0);
  return { since, chatrooms: Object.fromEntries(entries.slice(0, MAX_CHATROOMS)) };
}
