// What to show of a cache. It holds chatrooms and messages in any order; what is shown, and where, follows from their fields.
import type { ChatroomItemFragment, ChatroomPageFragment, ChatroomsQuery, MessageItemFragment } from "./generated/operations";

interface Edges<Node> {
  edges: readonly ({ node: Node | null } | null)[];
}

/** The objects of a page. Relay shows a deleted one as null. */
export const nodesOf = <Node>({ edges }: Edges<Node>) => edges.flatMap((edge) => edge?.node ?? []);

/** Chatrooms in the order of the server: pinned ones first, then the most recently active ones. */
export function inOrder(page: Edges<ChatroomItemFragment>) {
  const newestFirst = (a: string, b: string) => (a < b ? 1 : a > b ? -1 : 0);
  return nodesOf(page).sort(
    (a, b) =>
      Number(b.pinnedAt !== null) - Number(a.pinnedAt !== null) ||
      newestFirst(a.updatedAt, b.updatedAt) ||
      newestFirst(a.id, b.id),
  );
}

/** The messages of the current branch, each after the one that it follows. */
export function branch(messages: Edges<MessageItemFragment>) {
  const current = nodesOf(messages).filter(({ isCurrent }) => isCurrent);
  const ids = new Set(current.map(({ id }) => id));
  const next = new Map(current.map((message) => [message.inReplyTo?.id, message]));
  const shown = [];
  let message = current.find(({ inReplyTo }) => !inReplyTo || !ids.has(inReplyTo.id));
  for (; message; message = next.get(message.id)) shown.push(message);
  return shown;
}

/** Both lists after a chatroom was created or changed, or, without one, deleted. */
export function withChatroom(lists: ChatroomsQuery, id: string, chatroom?: ChatroomItemFragment): ChatroomsQuery {
  const update = (page: ChatroomPageFragment, isListed: boolean): ChatroomPageFragment => {
    const rest = page.edges.filter(({ node }) => node.id !== id);
    return { ...page, edges: isListed ? [{ __typename: "ChatroomEdge", cursor: "", node: chatroom! }, ...rest] : rest };
  };
  return {
    ...lists,
    chatrooms: update(lists.chatrooms, chatroom?.archivedAt === null),
    archived: update(lists.archived, typeof chatroom?.archivedAt === "string"),
  };
}

/** The loaded messages after a message was added or changed. */
export function withMessage<Page extends Edges<MessageItemFragment>>(page: Page, message: MessageItemFragment): Page {
  if (nodesOf(page).some(({ id }) => id === message.id)) return page;
  return { ...page, edges: [...page.edges, { __typename: "MessageEdge", cursor: "", node: message }] };
}
