// What every example does: signs in, asks, follows the reply through a cut, stops another one, and uses up the day.
// README.md beside this file says how to run them.
import { describe, graphqlErrors } from "./errors";
import { CreateRoomDocument, SendDocument, SendOtpDocument, StopDocument, VerifyOtpDocument } from "./generated/operations";
import { type Client, follow } from "./follow";

type Connect = (url: string, token?: string) => Client;

/** Runs the scenario; whatever goes wrong in it ends the process with one line on standard error. */
export async function scenario(connect: Connect) {
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
  await run(connect, url, phoneNumber).catch(fail);
  process.exit(); // the oldest of the clients leaves timers behind
}

async function run(connect: Connect, url: string, phoneNumber: string) {
  const say = (...words: unknown[]) => console.log(words.join(" "));

  const anonymous = connect(url);
  const { sendOtp } = await anonymous.request(SendOtpDocument, { phoneNumber });
  if (!sendOtp.otp) throw new Error("The code is not in the response: the examples need a server with OTP_DELIVERY=response.");
  const { verifyOtp } = await anonymous.request(VerifyOtpDocument, { phoneNumber, otp: sendOtp.otp });
  anonymous.close();

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
    say("not used up: start the server with BASIC_DAILY_LIMIT=2 to see QUOTA_EXCEEDED");
  } catch (failure) {
    const [error] = graphqlErrors(failure);
    if (error?.extensions?.code !== "QUOTA_EXCEEDED") throw failure;
    say(error.extensions.code, "upgradeable", error.extensions.upgradeable);
  }
  client.close();
}
