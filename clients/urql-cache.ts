// urql with Graphcache: events update the normalized cache.
import { Client, fetchExchange, subscriptionExchange } from "@urql/core";
import { type Cache, cacheExchange } from "@urql/exchange-graphcache";
import { caches } from "./caches";
import {
  AccountEventsDocument,
  ChatroomDocument,
  ChatroomEventsDocument,
  type ChatroomEventsSubscription,
  ChatroomListEventsDocument,
  type ChatroomListEventsSubscription,
  ChatroomsDocument,
  MeDocument,
  ReplyTextFragmentDoc,
  SendDocument,
} from "./generated/operations";
import schema from "./generated/schema.json";
import { withChatroom, withMessage } from "./shown";

/** The fields of chatrooms are updated by their ids. This updates which chatrooms are in the lists. */
function updateLists({ chatroomListEvents: { change } }: ChatroomListEventsSubscription, _: unknown, cache: Cache) {
  if (change.__typename === "ChatroomDeleted") {
    const id = change.deletedId;
    // A query must not find the chatroom missing, or it would be sent again.
    cache.updateQuery({ query: ChatroomsDocument }, (lists) => lists && withChatroom(lists, id));
    cache.updateQuery({ query: ChatroomDocument, variables: { id } }, (data) => data && { chatroom: null });
    cache.invalidate({ __typename: "Chatroom", id });
  } else if (change.__typename !== "ChatroomListReset") {
    const { chatroom } = change;
    cache.updateQuery({ query: ChatroomsDocument }, (lists) => lists && withChatroom(lists, chatroom.id, chatroom));
  }
}

function updateMessages(
  { chatroomEvents: { change } }: ChatroomEventsSubscription,
  { chatroomId }: { chatroomId: string },
  cache: Cache,
) {
  switch (change.__typename) {
    case "ReplyDelta":
    case "ReplyRestarted": {
      const { id } = change.message;
      const text = cache.resolve({ __typename: "Message", id }, "content") as string;
      const content = change.__typename === "ReplyDelta" ? text + change.text : "";
      return cache.writeFragment(ReplyTextFragmentDoc, { id, content, status: "STREAMING" });
    }
    case "MessageAdded":
    case "MessageChanged":
      return cache.updateQuery({ query: ChatroomDocument, variables: { id: chatroomId } }, (data) => {
        const chatroom = data?.chatroom;
        return chatroom ? { chatroom: { ...chatroom, messages: withMessage(chatroom.messages, change.message) } } : null;
      });
  }
}

// Objects without an id, such as Usage, are part of the object that has them.
const types = schema.__schema.types.filter(({ fields }) => fields && !fields.some(({ name }) => name === "id"));

const cache = () =>
  cacheExchange({
    schema: schema as any,
    keys: Object.fromEntries(types.map(({ name }) => [name, () => null])),
    updates: { Subscription: { chatroomListEvents: updateLists, chatroomEvents: updateMessages } },
  });

caches(({ url, headers, fetch, socket, holdEvents }) => {
  const client = new Client({
    url,
    preferGetMethod: false,
    fetch,
    fetchOptions: { headers },
    exchanges: [
      cache(),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query = "", variables }) => ({
          subscribe: (sink) => ({ unsubscribe: socket.subscribe({ query, variables: variables as any }, sink as any) }),
        }),
      }),
    ],
  });
  return {
    account: (show) => void client.query(MeDocument, {}).subscribe(({ data }) => data && show(data)),
    followAccount: () => void client.subscription(AccountEventsDocument, {}).subscribe(() => {}),
    lists(show) {
      let isShown = false;
      const read = async () => {
        await client.query(ChatroomsDocument, {}, { requestPolicy: "network-only" });
        if (isShown) return;
        isShown = true;
        client.query(ChatroomsDocument, {}).subscribe(({ data }) => data && show(data));
      };
      client.subscription(ChatroomListEventsDocument, {}).subscribe(({ data }) => {
        if (data?.chatroomListEvents.change.__typename === "ChatroomListReset") holdEvents(read());
      });
    },
    async chatroom(id, show) {
      const { data } = await client.query(ChatroomDocument, { id });
      client.query(ChatroomDocument, { id }).subscribe(({ data }) => data && show(data));
      client.subscription(ChatroomEventsDocument, { id, after: data!.chatroom!.eventCursor }).subscribe(() => {});
    },
    async send(chatroom, content) {
      const { error } = await client.mutation(SendDocument, { chatroom, content });
      if (error) throw error.networkError ?? error;
    },
  };
});
