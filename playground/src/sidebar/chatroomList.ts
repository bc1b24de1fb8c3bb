// The list of chatrooms, the most recently active first, loaded page by page.
import { mutate, query } from "../api/request";
import {
  type ChatroomPartsFragment,
  ChatroomsDocument,
  CreateChatroomDocument,
  DeleteChatroomDocument,
  RenameChatroomDocument,
} from "../generated/operations";
import { createStore } from "../ui/store";

export type Chatroom = ChatroomPartsFragment;

export interface ChatroomList {
  chatrooms: readonly Chatroom[];
  status: "loading" | "ready" | "failed";
  /** Where the next page begins. Null: there is none. */
  nextCursor: string | null;
}

const PAGE_SIZE = 30;
const empty: ChatroomList = { chatrooms: [], status: "loading", nextCursor: null };

export const chatroomList = createStore<ChatroomList>(empty);

export const clearChatrooms = () => chatroomList.set(empty);

/** Reads the first page again. What was loaded beyond it stays. */
export async function loadChatrooms(): Promise<void> {
  const before = chatroomList.get();
  if (before.status !== "ready") chatroomList.set({ ...before, status: "loading" });
  try {
    const { chatrooms } = await query(ChatroomsDocument, { first: PAGE_SIZE });
    const last = chatrooms.nodes.at(-1);
    const known = chatroomList.get();
    const position = known.chatrooms.findIndex(({ id }) => id === last?.id);
    const isWhole = !chatrooms.pageInfo.hasNextPage || position === -1;
    const listed = new Set(chatrooms.nodes.map(({ id }) => id));
    const beyond = isWhole ? [] : known.chatrooms.slice(position + 1).filter(({ id }) => !listed.has(id));
    chatroomList.set({
      chatrooms: [...chatrooms.nodes, ...beyond],
      status: "ready",
      nextCursor: isWhole || beyond.length === 0 ? nextCursor(chatrooms.pageInfo) : known.nextCursor,
    });
  } catch {
    if (chatroomList.get().status === "loading") chatroomList.set({ ...chatroomList.get(), status: "failed" });
  }
}

let loadingMore = false;

/** Appends the next page. */
export async function loadMoreChatrooms(): Promise<void> {
  const { nextCursor: after, status } = chatroomList.get();
  if (after === null || status !== "ready" || loadingMore) return;
  loadingMore = true;
  try {
    const { chatrooms } = await query(ChatroomsDocument, { first: PAGE_SIZE, after });
    const known = chatroomList.get();
    const listed = new Set(known.chatrooms.map(({ id }) => id));
    chatroomList.set({
      ...known,
      chatrooms: [...known.chatrooms, ...chatrooms.nodes.filter(({ id }) => !listed.has(id))],
      nextCursor: nextCursor(chatrooms.pageInfo),
    });
  } catch {
    // Scrolling to the end tries again.
  } finally {
    loadingMore = false;
  }
}

const nextCursor = (page: { hasNextPage: boolean; endCursor: string | null }) => (page.hasNextPage ? page.endCursor : null);

export async function createChatroom(title: string, model: string | null): Promise<Chatroom> {
  const { createChatroom } = await mutate(CreateChatroomDocument, { title, model });
  updateChatroom(createChatroom.chatroom);
  return createChatroom.chatroom;
}

export async function renameChatroom(id: string, title: string): Promise<void> {
  const { updateChatroom: result } = await mutate(RenameChatroomDocument, { id, title });
  updateChatroom(result.chatroom);
}

export async function deleteChatroom(id: string): Promise<void> {
  await mutate(DeleteChatroomDocument, { id });
  removeChatroom(id);
}

/** Stores a chatroom's new state and moves it to its place by activity. */
export function updateChatroom(chatroom: Chatroom): void {
  const list = chatroomList.get();
  const others = list.chatrooms.filter(({ id }) => id !== chatroom.id);
  const time = Date.parse(chatroom.updatedAt);
  const found = others.findIndex(({ updatedAt }) => Date.parse(updatedAt) <= time);
  const position = found === -1 ? others.length : found;
  chatroomList.set({ ...list, chatrooms: [...others.slice(0, position), chatroom, ...others.slice(position)] });
}

/** Moves a chatroom to the top after a message at this time. */
export function touchChatroom(id: string, updatedAt: string): void {
  const chatroom = chatroomList.get().chatrooms.find((one) => one.id === id);
  if (chatroom) updateChatroom({ ...chatroom, updatedAt });
}

export function removeChatroom(id: string): void {
  const list = chatroomList.get();
  chatroomList.set({ ...list, chatrooms: list.chatrooms.filter((one) => one.id !== id) });
}
