// The list of chatrooms in the order of the server: pinned ones first, then the most recently active. It is loaded page by
// page, and chatroomListEvents keep it current on all devices.
import { mutate, query } from "../api/request";
import { subscribeWithResume } from "../api/resume";
import {
  ArchiveChatroomDocument,
  type ChatroomPartsFragment,
  ChatroomsDocument,
  type ChatroomsQueryVariables,
  CreateChatroomDocument,
  type CreateChatroomMutationVariables,
  DeleteChatroomDocument,
  FollowChatroomsDocument,
  PinChatroomDocument,
  RenameChatroomDocument,
} from "../generated/operations";
import { createStore } from "../ui/store";
import { type ChatroomList, empty, insertChatroom, mergeFirstPage, type Page, withNextPage, without } from "./lists";

export type Chatroom = ChatroomPartsFragment;

const PAGE_SIZE = 30;

export const chatroomList = createStore<ChatroomList>(empty);
/** Loaded when it is opened. */
export const archivedList = createStore<ChatroomList>({ ...empty, isArchive: true });

const storeOf = (isArchive: boolean) => (isArchive ? archivedList : chatroomList);

export function clearChatrooms(): void {
  chatroomList.set(empty);
  archivedList.set({ ...empty, isArchive: true });
}

type Change = (list: ChatroomList) => ChatroomList;

/** The changes since the beginning of the reads that run: a response may be older than a change, which is then made again. */
const recent: Change[] = [];
let reads = 0;

function change(apply: Change): void {
  if (reads > 0) recent.push(apply);
  for (const store of [chatroomList, archivedList]) store.set(apply(store.get()));
}

async function readPage(variables: ChatroomsQueryVariables, merge: (list: ChatroomList, page: Page) => ChatroomList) {
  const store = storeOf(variables.archived ?? false);
  const since = recent.length;
  reads += 1;
  try {
    const { nodes, pageInfo } = (await query(ChatroomsDocument, { first: PAGE_SIZE, ...variables })).chatrooms;
    const page = { chatrooms: nodes, nextCursor: pageInfo.hasNextPage ? pageInfo.endCursor : null };
    store.set(recent.slice(since).reduce((list, apply) => apply(list), merge(store.get(), page)));
  } finally {
    reads -= 1;
    if (reads === 0) recent.length = 0;
  }
}

/** Reads the list and follows its changes. Returns a function that stops. */
export function followChatrooms(): () => void {
  let cursor: string | null = null;
  void loadChatrooms();
  return subscribeWithResume({
    document: FollowChatroomsDocument,
    variables: () => ({ after: cursor }),
    onEvent({ chatroomListEvents: { cursor: next, change: event } }) {
      cursor = next;
      if (event.__typename === "ChatroomListReset") {
        void loadChatrooms();
        if (archivedList.get().status !== "unread") void loadChatrooms(true);
      } else if (event.__typename === "ChatroomDeleted") removeChatroom(event.deletedId);
      else updateChatroom(event.chatroom);
      return "continue";
    },
  });
}

/** Reads the first page again. What was loaded beyond it stays. */
export async function loadChatrooms(archived = false): Promise<void> {
  const store = storeOf(archived);
  if (store.get().status !== "ready") store.set({ ...store.get(), status: "loading" });
  try {
    await readPage({ archived }, mergeFirstPage);
  } catch {
    if (store.get().status === "loading") store.set({ ...store.get(), status: "failed" });
  }
}

let loadingMore = false;

/** Appends the next page. */
export async function loadMoreChatrooms(archived = false): Promise<void> {
  const store = storeOf(archived);
  const { nextCursor: after, status } = store.get();
  if (after === null || status !== "ready" || loadingMore) return;
  loadingMore = true;
  try {
    await readPage({ after, archived }, withNextPage);
  } catch {
    // Scrolling to the end tries again.
  } finally {
    loadingMore = false;
  }
}

/** Returns the id of the new chatroom. */
export async function createChatroom(variables: CreateChatroomMutationVariables): Promise<string> {
  const { createChatroom } = await mutate(CreateChatroomDocument, variables);
  updateChatroom(createChatroom.chatroom);
  return createChatroom.chatroom.id;
}

export async function renameChatroom(id: string, title: string): Promise<void> {
  updateChatroom((await mutate(RenameChatroomDocument, { id, title })).updateChatroom.chatroom);
}

export async function pinChatroom(id: string, pinned: boolean): Promise<void> {
  updateChatroom((await mutate(PinChatroomDocument, { id, pinned })).updateChatroom.chatroom);
}

export async function archiveChatroom(id: string, archived: boolean): Promise<void> {
  updateChatroom((await mutate(ArchiveChatroomDocument, { id, archived })).updateChatroom.chatroom);
}

export async function deleteChatroom(id: string): Promise<void> {
  await mutate(DeleteChatroomDocument, { id });
  removeChatroom(id);
}

/** Stores a chatroom's new state and moves it to its place in its list. */
function updateChatroom(chatroom: Chatroom): void {
  change((list) => insertChatroom(list, chatroom));
}

/** Moves a chatroom to its place after a message at this time. */
export function touchChatroom(id: string, updatedAt: string): void {
  const chatroom = chatroomList.get().chatrooms.find((one) => one.id === id);
  if (chatroom) updateChatroom({ ...chatroom, updatedAt });
}

export function removeChatroom(id: string): void {
  change((list) => without(list, id));
}
