// relay-runtime: mutations over HTTP, subscriptions over graphql-ws. relay-compiler generates artifacts from relay.operations.ts.
import { createClient } from "graphql-ws";
import {
  Environment,
  type GraphQLTaggedNode,
  Network,
  Observable,
  RecordSource,
  Store,
  commitMutation,
  requestSubscription,
} from "relay-runtime";
import WebSocket from "ws";
import createRoom from "./__generated__/relayCreateChatroomMutation.graphql";
import followReply from "./__generated__/relayFollowSubscription.graphql";
import send from "./__generated__/relaySendMutation.graphql";
import sendOtp from "./__generated__/relaySendOtpMutation.graphql";
import stop from "./__generated__/relayStopMutation.graphql";
import verifyOtp from "./__generated__/relayVerifyOtpMutation.graphql";
import { scenario } from "./scenario";

const mutations: Record<string, GraphQLTaggedNode> = {
  SendOtp: sendOtp,
  VerifyOtp: verifyOtp,
  CreateChatroom: createRoom,
  Send: send,
  Stop: stop,
};

scenario((url, token) => {
  const authorization = token && `Bearer ${token}`;
  const socket = createClient({
    url: url.replace("http", "ws"),
    webSocketImpl: WebSocket, // not needed in a browser
    connectionParams: authorization ? { authorization } : {},
    retryAttempts: 0, // follow.ts reconnects with the cursor
    lazyCloseTimeout: 5_000, // keeps the socket open between operations
  });
  const network = Network.create(
    async ({ text }, variables) => {
      const headers = { "content-type": "application/json", ...(authorization && { authorization }) };
      const response = await fetch(url, { method: "POST", headers, body: JSON.stringify({ query: text, variables }) });
      const body = (await response.json()) as any;
      if (body.errors) throw body;
      return body;
    },
    ({ text }, variables) =>
      Observable.create((sink) => socket.subscribe({ query: text!, variables }, sink as any)),
  );
  const environment = new Environment({ network, store: new Store(new RecordSource()) });
  return {
    request: (document, variables) =>
      new Promise((resolve, reject) => {
        const [operation] = document.definitions;
        const name = operation.kind === "OperationDefinition" ? operation.name!.value : "";
        commitMutation(environment, {
          mutation: mutations[name],
          variables,
          onCompleted: (data) => resolve(data as any),
          onError: reject,
        });
      }),
    follow(variables, sink) {
      const { dispose } = requestSubscription(environment, {
        subscription: followReply,
        variables,
        onNext: (data: any) => data && sink.event(data.replyStream),
        onError: sink.broken,
      });
      return dispose;
    },
    close: () => socket.dispose(),
  };
});
