// Changes to a list of chatrooms of which the first pages are loaded. Pure functions.
import type { ChatroomPartsFragment } from "../generated/operations";

type Chatroom = ChatroomPartsFragment;

export interface ChatroomList {
  isArchive: boolean;
  chatrooms: readonly Chatroom[];
  status: "unread" | "loading" | "ready" | "failed";
  /** Where the next page begins. Null: there is none. */
  nextCursor: string | null;
}

export interface Page {
  chatrooms: readonly Chatroom[];
  nextCursor: string | null;
}

export const empty: ChatroomList = { isArchive: false, chatrooms: [], status: "unread", nextCursor: null };

/** Replaces the beginning of the list by the first page. What was loaded beyond it stays if the page is followed by it. */
export function mergeFirstPage(list: ChatroomList, { chatrooms, nextCursor }: Page): ChatroomList {
  const last = chatrooms.at(-1);
  const position = list.chatrooms.findIndex(({ id }) => id === last?.id);
  const listed = new Set(chatrooms.map(({ id }) => id));
  const isWhole = nextCursor === null || position === -1;
  const beyond = isWhole ? [] : list.chatrooms.slice(position + 1).filter(({ id }) => !listed.has(id));
  return {
    ...list,
    chatrooms: [...chatrooms, ...beyond],
    status: "ready",
    nextCursor: beyond.length === 0 ? nextCursor : list.nextCursor,
  };
}

export function withNextPage(list: ChatroomList, { chatrooms, nextCursor }: Page): ChatroomList {
  const listed = new Set(list.chatrooms.map(({ id }) => id));
  return { ...list, chatrooms: [...list.chatrooms, ...chatrooms.filter(({ id }) => !listed.has(id))], nextCursor };
}

export const without = (list: ChatroomList, id: string): ChatroomList =>
  list.chatrooms.some((one) => one.id === id) ? { ...list, chatrooms: list.chatrooms.filter((one) => one.id !== id) } : list;

/** Stores a chatroom's new state at its place, if the list contains it and that page is loaded. */
export function insertChatroom(list: ChatroomList, chatroom: Chatroom): ChatroomList {
  const others = without(list, chatroom.id);
  if ((chatroom.archivedAt !== null) !== list.isArchive) return others;
  const found = others.chatrooms.findIndex((other) => isBefore(chatroom, other));
  if (found === -1 && list.nextCursor !== null) return others;
  const position = found === -1 ? others.chatrooms.length : found;
  return { ...list, chatrooms: others.chatrooms.toSpliced(position, 0, chatroom) };
}

function isBefore(one: Chatroom, other: Chatroom): boolean {
  const [pinned, otherPinned] = [time(one.pinnedAt), time(other.pinnedAt)];
  return pinned === otherPinned ? time(one.updatedAt) >= time(other.updatedAt) : pinned > otherPinned;
}

const time = (value: string | null) => (value === null ? 0 : Date.parse(value));
