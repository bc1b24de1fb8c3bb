// relay-runtime: events update the store. relay-compiler generates artifacts from relay-cache.operations.ts.
import {
  commitMutation,
  ConnectionHandler,
  createOperationDescriptor,
  Environment,
  fetchQuery,
  getRequest,
  type GraphQLTaggedNode,
  Network,
  Observable,
  type RecordProxy,
  type RecordSourceSelectorProxy,
  RecordSource,
  requestSubscription,
  Store,
} from "relay-runtime";
import accountEvents from "./__generated__/relayCacheAccountEventsSubscription.graphql";
import chatroomEvents from "./__generated__/relayCacheChatroomEventsSubscription.graphql";
import chatroomListEvents from "./__generated__/relayCacheChatroomListEventsSubscription.graphql";
import chatroomQuery from "./__generated__/relayCacheChatroomQuery.graphql";
import chatroomsQuery from "./__generated__/relayCacheChatroomsQuery.graphql";
import meQuery from "./__generated__/relayCacheMeQuery.graphql";
import send from "./__generated__/relayCacheSendMutation.graphql";
import { caches } from "./caches";

/** The fields of chatrooms are updated by their ids, and @deleteRecord deletes chatrooms. This puts them into their list. */
function updateLists(store: RecordSourceSelectorProxy, change: RecordProxy) {
  const chatroom = change.getLinkedRecord("chatroom");
  if (!chatroom) return;
  const isArchived = Boolean(chatroom.getValue("archivedAt"));
  for (const [key, isListed] of [["Lists_chatrooms", !isArchived], ["Lists_archived", isArchived]] as const) {
    const connection = ConnectionHandler.getConnection(store.getRoot(), key)!;
    ConnectionHandler.deleteNode(connection, chatroom.getDataID());
    if (!isListed) continue;
    ConnectionHandler.insertEdgeBefore(connection, ConnectionHandler.createEdge(store, connection, chatroom, "ChatroomEdge"));
  }
}

function updateMessages(store: RecordSourceSelectorProxy, chatroom: string, change: RecordProxy) {
  const message = change.getLinkedRecord("message");
  switch (change.getType()) {
    case "ReplyDelta":
    case "ReplyRestarted": {
      const content = change.getType() === "ReplyDelta" ? `${message!.getValue("content")}${change.getValue("text")}` : "";
      return message!.setValue(content, "content").setValue("STREAMING", "status");
    }
    case "MessageAdded":
    case "MessageChanged": {
      const connection = ConnectionHandler.getConnection(store.get(chatroom)!, "Chatroom_messages")!;
      const edges = connection.getLinkedRecords("edges") ?? [];
      if (edges.some((edge) => edge?.getLinkedRecord("node") === message)) return;
      ConnectionHandler.insertEdgeAfter(connection, ConnectionHandler.createEdge(store, connection, message!, "MessageEdge"));
    }
  }
}

type Updater = (store: RecordSourceSelectorProxy<any>) => void;

caches(({ url, headers, fetch, socket, holdEvents }) => {
  const network = Network.create(
    async ({ text }, variables) => {
      const body = JSON.stringify({ query: text, variables });
      const response = await fetch(url, { method: "POST", headers: { ...headers, "content-type": "application/json" }, body });
      const result = (await response.json()) as any;
      if (result.errors) throw result;
      return result;
    },
    ({ text }, variables) => Observable.create((sink) => socket.subscribe({ query: text!, variables }, sink as any)),
  );
  const environment = new Environment({ network, store: new Store(new RecordSource()) });

  const read = (query: GraphQLTaggedNode, variables: object) => fetchQuery<any>(environment, query, variables).toPromise();
  /** Shows a query that was read, and each change of it in the store. */
  const watch = (query: GraphQLTaggedNode, variables: object, show: (data: any) => void) => {
    const operation = createOperationDescriptor(getRequest(query), variables);
    environment.retain(operation);
    const snapshot = environment.lookup(operation.fragment);
    environment.subscribe(snapshot, ({ data }) => show(data));
    show(snapshot.data);
  };
  const follow = (subscription: GraphQLTaggedNode, variables: object, updater?: Updater) =>
    requestSubscription<any>(environment, { subscription, variables, updater });

  return {
    async account(show) {
      await read(meQuery, {});
      watch(meQuery, {}, show);
    },
    followAccount: () => void follow(accountEvents, {}),
    lists(show) {
      let isShown = false;
      const readAndShow = async () => {
        await read(chatroomsQuery, {});
        if (!isShown) watch(chatroomsQuery, {}, show);
        isShown = true;
      };
      follow(chatroomListEvents, {}, (store) => {
        const change = store.getRootField("chatroomListEvents").getLinkedRecord("change")!;
        if (change.getType() === "ChatroomListReset") holdEvents(readAndShow());
        else updateLists(store, change);
      });
    },
    async chatroom(id, show) {
      const { chatroom } = await read(chatroomQuery, { id });
      watch(chatroomQuery, { id }, show);
      follow(chatroomEvents, { id, after: chatroom.eventCursor }, (store) =>
        updateMessages(store, id, store.getRootField("chatroomEvents").getLinkedRecord("change")!),
      );
    },
    send: (chatroom, content) =>
      new Promise((resolve, reject) => {
        const variables = { chatroom, content };
        commitMutation(environment, { mutation: send, variables, onCompleted: () => resolve(), onError: reject });
      }),
  };
});
