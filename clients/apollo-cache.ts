// Apollo Client 4: events update the normalized cache.
import {
  type ApolloCache,
  ApolloClient,
  ApolloLink,
  HttpLink,
  InMemoryCache,
  type OperationVariables,
  type TypedDocumentNode,
} from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { relayStylePagination } from "@apollo/client/utilities";
import { OperationTypeNode } from "graphql";
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
import { withChatroom, withMessage } from "./shown";

const cache = () =>
  new InMemoryCache({
    typePolicies: {
      Query: { fields: { chatrooms: relayStylePagination(["archived"]) } },
      Chatroom: { fields: { messages: relayStylePagination() } },
      // Without an id they are part of their user: a result keeps the fields that it does not select.
      Usage: { merge: true },
      SubscriptionStatus: { merge: true },
    },
  });

/** The fields of chatrooms are updated by their ids. This updates which chatrooms are in the lists. */
function updateLists(cache: ApolloCache, { change }: ChatroomListEventsSubscription["chatroomListEvents"]) {
  if (change.__typename === "ChatroomDeleted") {
    const id = change.deletedId;
    // A query of the chatroom must not find it missing, or it would be sent again. Lists leave out what is not in the cache.
    cache.updateQuery({ query: ChatroomDocument, variables: { id } }, (data) => data && { chatroom: null });
    cache.evict({ id: cache.identify({ __typename: "Chatroom", id }) });
    cache.gc();
  } else if (change.__typename !== "ChatroomListReset") {
    const { chatroom } = change;
    cache.updateQuery({ query: ChatroomsDocument }, (lists) => lists && withChatroom(lists, chatroom.id, chatroom));
  }
}

function updateMessages(cache: ApolloCache, id: string, { change }: ChatroomEventsSubscription["chatroomEvents"]) {
  switch (change.__typename) {
    case "ReplyDelta":
    case "ReplyRestarted": {
      const reply = cache.identify({ __typename: "Message", id: change.message.id });
      return cache.updateFragment({ id: reply, fragment: ReplyTextFragmentDoc }, (message) => {
        const content = change.__typename === "ReplyDelta" ? message?.content + change.text : "";
        return message && { ...message, content, status: "STREAMING" as const };
      });
    }
    case "MessageAdded":
    case "MessageChanged":
      return cache.updateQuery({ query: ChatroomDocument, variables: { id } }, (data) => {
        const chatroom = data?.chatroom;
        return chatroom && { chatroom: { ...chatroom, messages: withMessage(chatroom.messages, change.message) } };
      });
  }
}

caches(({ url, headers, fetch, socket, holdEvents }) => {
  const client = new ApolloClient({
    cache: cache(),
    link: ApolloLink.split(
      ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
      new GraphQLWsLink(socket),
      new HttpLink({ uri: url, headers, fetch }),
    ),
  });
  function watch<Data, Variables extends OperationVariables>(
    query: TypedDocumentNode<Data, Variables>,
    variables: Variables,
    show: (data: Data) => void,
  ) {
    client.watchQuery({ query, variables }).subscribe(({ data, dataState }) => dataState === "complete" && show(data as Data));
  }
  return {
    account: (show) => watch(MeDocument, {}, show),
    followAccount: () => void client.subscribe({ query: AccountEventsDocument }).subscribe(() => {}),
    lists(show) {
      let isShown = false;
      const read = async () => {
        await client.query({ query: ChatroomsDocument, fetchPolicy: "network-only" });
        if (isShown) return;
        isShown = true;
        watch(ChatroomsDocument, {}, show);
      };
      client.subscribe({ query: ChatroomListEventsDocument }).subscribe(({ data }) => {
        if (data?.chatroomListEvents.change.__typename === "ChatroomListReset") holdEvents(read());
        else if (data) updateLists(client.cache, data.chatroomListEvents);
      });
    },
    async chatroom(id, show) {
      const { data } = await client.query({ query: ChatroomDocument, variables: { id } });
      watch(ChatroomDocument, { id }, show);
      client
        .subscribe({ query: ChatroomEventsDocument, variables: { id, after: data!.chatroom!.eventCursor } })
        .subscribe(({ data }) => data && updateMessages(client.cache, id, data.chatroomEvents));
    },
    async send(chatroom, content) {
      await client.mutate({ mutation: SendDocument, variables: { chatroom, content } });
    },
  };
});
