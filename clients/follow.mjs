// Sends a message and prints the reply while it is written: TOKEN=… CHATROOM_ID=… node follow.mjs "What is a pulsar?"
import { createClient } from "graphql-ws";
import WebSocket from "ws";

const client = createClient({
  url: "ws://localhost:8000/graphql", webSocketImpl: WebSocket, lazyCloseTimeout: 5_000,
  connectionParams: { authorization: `Bearer ${process.env.TOKEN}` },
  shouldRetry: ({ code }) => code !== 4403, // a retry cannot make the token valid
});
async function* run(query, variables) {
  for await (const { data, errors } of client.iterate({ query, variables })) {
    if (errors) throw errors;
    yield data;
  }
}
const send = "mutation($in: SendMessageInput!) { sendMessage(input: $in) { reply { id } } }";
const follow = `subscription($id: ID!) { replyStream(messageId: $id) {
  ... on ReplyDelta { text }  ... on ReplyFailed { failure { message } }
} }`;
try {
  const { value } = await run(send, { in: { chatroomId: process.env.CHATROOM_ID, content: process.argv[2] } }).next();
  for await (const { replyStream: event } of run(follow, { id: value.sendMessage.reply.id }))
    process.stdout.write(event.text ?? `${event.failure?.message ?? ""}\n`);
} catch (error) {
  const message = [error].flat()[0].message ?? error.reason;
  console.error(error.code === 4403 ? `TOKEN has expired or is not valid (${error.reason}): sign in again.` : message);
  process.exitCode = 1;
}
await client.dispose();
