// Asks a question and prints the reply as it is written: TOKEN=… ROOM=… node follow.mjs "What is a pulsar?"
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const client = createClient({
  url: "ws://localhost:8000/graphql", webSocketImpl: WebSocket, lazyCloseTimeout: 5_000,
  connectionParams: { authorization: `Bearer ${process.env.TOKEN}` },
});
const run = (query, variables) => client.iterate({ query, variables });
const send = "mutation($in: SendMessageInput!) { sendMessage(input: $in) { reply { id } } }";
const { value } = await run(send, { in: { chatroomId: process.env.ROOM, content: process.argv[2] } }).next();
const follow = "subscription($id: ID!) { replyStream(messageId: $id) { ... on ReplyDelta { text } } }";
for await (const { data } of run(follow, { id: value.data.sendMessage.reply.id })) process.stdout.write(data.replyStream.text ?? "\n");
await client.dispose();
