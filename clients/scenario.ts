// The scenario of every example: signs in, sends a message, follows the reply through broken connections, stops another
// reply, and exhausts the daily quota. README.md explains how to run it.
import { describe, graphqlErrors } from "./errors";
import { CreateChatroomDocument, SendDocument, SendOtpDocument, StopDocument, VerifyOtpDocument } from "./generated/operations";
import { type Client, follow } from "./follow";

type Connect = (url: string, token?: string) => Client;

/** Runs the scenario. An error ends the process with one line on standard error. */
export const scenario = (connect: Connect) => main((url, phoneNumber) => run(connect, url, phoneNumber));

/** Runs an example with the arguments of the command line. An error ends the process with one line on standard error. */
export async function main(example: (url: string, phoneNumber: string) => Promise<void>) {
  const [url, phoneNumber] = process.argv.slice(2);
  if (!url || !phoneNumber) {
    console.error("usage: npx tsx FILE.ts http://localhost:8000/graphql +14155550123");
    process.exit(2);
  }
  const fail = (failure: unknown) => {
    console.error(describe(failure));
    process.exit(1);
  };
  process.on("unhandledRejection", fail).on("uncaughtException", fail);
  await example(url, phoneNumber).catch(fail);
  process.exit(); // subscriptions-transport-ws leaves timers running
}

/** Returns an access token. */
export async function signIn({ request }: Pick<Client, "request">, phoneNumber: string): Promise<string> {
  const { sendOtp } = await request(SendOtpDocument, { phoneNumber });
  if (!sendOtp.otp) throw new Error("The code is not in the response: the examples need a server with OTP_DELIVERY=response.");
  const { verifyOtp } = await request(VerifyOtpDocument, { phoneNumber, otp: sendOtp.otp });
  return verifyOtp.accessToken;
}

async function run(connect: Connect, url: string, phoneNumber: string) {
  const print = (...words: unknown[]) => console.log(words.join(" "));

  const anonymous = connect(url);
  const token = await signIn(anonymous, phoneNumber);
  anonymous.close();

  const client = connect(url, token);
  const chatroom = (await client.request(CreateChatroomDocument, { title: "Stars" })).createChatroom.chatroom.id;
  const send = async (content: string) => (await client.request(SendDocument, { chatroom, content })).sendMessage.reply.id;

  const whole = await follow(client, await send("What is a pulsar?"), (text) => print("text", text), () => print("broken"));
  print(whole.end, whole.text);

  const reply = await send("And what is a quasar?");
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
    () => print("broken"),
  );
  print(stopped.end, stopped.text);

  try {
    await send("One more?");
    print("the quota is not exhausted: start the server with BASIC_DAILY_LIMIT=2 to see QUOTA_EXCEEDED");
  } catch (failure) {
    const [error] = graphqlErrors(failure);
    if (error?.extensions?.code !== "QUOTA_EXCEEDED") throw failure;
    print(error.extensions.code, "upgradeable", error.extensions.upgradeable);
  }
  client.close();
}
