// What every example does: signs in, asks, follows the reply through a cut, stops another one, and uses up the day.
// `tsx graphql-ws.ts http://localhost:8000/graphql +14155550123`
import { CreateRoomDocument, SendDocument, SendOtpDocument, StopDocument, VerifyOtpDocument } from "./generated/operations";
import { type Client, follow } from "./follow";

/** The errors of a response, however a client wraps them. */
interface Failure {
  errors: readonly { message: string; extensions?: Record<string, unknown> }[];
}

export async function scenario(connect: (url: string, token?: string) => Client) {
  const [url, phoneNumber] = process.argv.slice(2);
  const say = (...words: unknown[]) => console.log(words.join(" "));

  const stranger = connect(url);
  const { sendOtp } = await stranger.request(SendOtpDocument, { phoneNumber });
  const { verifyOtp } = await stranger.request(VerifyOtpDocument, { phoneNumber, otp: sendOtp.otp! });
  stranger.close();

  const client = connect(url, verifyOtp.accessToken);
  const room = (await client.request(CreateRoomDocument, { title: "Stars" })).createChatroom.chatroom.id;
  const ask = async (content: string) => (await client.request(SendDocument, { room, content })).sendMessage.reply.id;

  const whole = await follow(client, await ask("What is a pulsar?"), (text) => say("text", text), () => say("broken"));
  say(whole.end, whole.text);

  const reply = await ask("And what is a quasar?");
  let stopping = false;
  const stopped = await follow(
    client,
    reply,
    async () => {
      if (!stopping) {
        stopping = true;
        await client.request(StopDocument, { reply });
      }
    },
    () => say("broken"),
  );
  say(stopped.end, stopped.text);

  try {
    await ask("One more?");
  } catch (failure) {
    const [{ extensions }] = (failure as Failure).errors;
    say(extensions?.code, "upgradeable", extensions?.upgradeable);
  }
  client.close();
  process.exit(); // the oldest of the clients leaves timers behind
}
