// The scenario of the cache examples. One device shows the lists of chatrooms, a chatroom and the account, and reads each of them
// once; another device changes them. Events must update the cache of the first, which sends no other request.
import {
  ChatroomDocument,
  type ChatroomQuery,
  ChatroomsDocument,
  type ChatroomsQuery,
  CreateChatroomDocument,
  DeleteDocument,
  EditDocument,
  MeDocument,
  type MeQuery,
  SelectDocument,
  UpdateDocument,
} from "./generated/operations";
import { connect, type Network, request } from "./network";
import { main, signIn } from "./scenario";
import { Screen, shown } from "./screen";
import { nodesOf } from "./shown";

/** A client with a normalized cache. `show` is called with what is read and after each change of it. */
export interface Device {
  account(show: (data: MeQuery) => void): void;
  followAccount(): void;
  /** Reads the lists when their events say so, and follows them. */
  lists(show: (data: ChatroomsQuery) => void): void;
  /** Reads a chatroom and follows it from there. */
  chatroom(id: string, show: (data: ChatroomQuery) => void): void;
  send(chatroom: string, content: string): Promise<void>;
}

/** Runs the scenario. An error ends the process with one line on standard error. */
export const caches = (open: (network: Network) => Device) =>
  main(async (url, phoneNumber) => {
    const anonymous = { url, headers: {} };
    const token = await signIn({ request: (document, variables) => request(anonymous, document, variables) }, phoneNumber);
    const [network, otherNetwork] = [connect(url, token), connect(url, token)];
    const late = withLateResponse(network);
    const [device, other] = [open(late.network), open(otherNetwork)];
    const [screen, otherScreen] = [new Screen(), new Screen()];
    let chatroom: string | undefined;

    /** Waits until the screen shows exactly what a new read returns, and prints it. */
    const print = async (what: string) => {
      const fresh = new Screen();
      fresh.show(shown.account(await request(network, MeDocument, {})));
      fresh.show(shown.lists(await request(network, ChatroomsDocument, {}), nodesOf));
      if (chatroom) fresh.show(shown.messages(await request(network, ChatroomDocument, { id: chatroom }), nodesOf));
      await screen.until(`${what}: ${JSON.stringify(fresh)}`, (screen) => JSON.stringify(screen) === JSON.stringify(fresh));
      console.log(`${what}: ${screen}`);
    };
    /** Prints the text of the reply as it grows, until the reply is complete. */
    const reply = (question: string) => {
      let text = "";
      return screen.until(`the reply to ${question}`, ({ messages }) => {
        const [message, reply] = messages ?? [];
        if (message?.content !== question || !reply) return false;
        if (reply.status === "STREAMING" && reply.content !== text) console.log("text", (text = reply.content));
        return reply.status === "COMPLETED";
      });
    };

    device.account((data) => screen.show(shown.account(data)));
    device.followAccount();
    device.lists((data) => screen.show(shown.lists(data)));
    await late.read;
    const create = async (title: string) => {
      const { createChatroom } = await request(otherNetwork, CreateChatroomDocument, { title });
      return createChatroom.chatroom.id;
    };
    const stars = await create("Stars");
    await print("created during the first read");
    const plants = await create("Plants");
    await print("created");

    chatroom = stars;
    device.chatroom(stars, (data) => screen.show(shown.messages(data)));
    await screen.until("the empty chatroom", ({ messages }) => messages?.length === 0);
    const reads = [...network.requests];

    other.account((data) => otherScreen.show(shown.account(data)));
    await otherScreen.until("the account of the other device", ({ account }) => account !== undefined);
    const used = otherScreen.account!.used + 1;
    await other.send(stars, "What is a pulsar?");
    await otherScreen.until("the usage in the other device's response", ({ account }) => account?.used === used);
    await reply("What is a pulsar?");
    await print("sent");

    const question = screen.messages![0].id;
    await request(otherNetwork, EditDocument, { message: question, content: "What is a quasar?" });
    await reply("What is a quasar?");
    await print("edited");
    await request(otherNetwork, SelectDocument, { message: question });
    await print("switched back");

    const update = async (what: string, input: { id: string; title?: string; pinned?: boolean; archived?: boolean }) => {
      await request(otherNetwork, UpdateDocument, { input });
      await print(what);
    };
    await update("pinned", { id: plants, pinned: true });
    await update("renamed", { id: stars, title: "Pulsars" });
    await update("archived", { id: plants, archived: true });
    await request(otherNetwork, DeleteDocument, { chatroom: stars });
    await print("deleted");

    console.log(`waiting for: pollux admin grant-pro ${phoneNumber} --until ${tomorrow()} --reason test`);
    await screen.until("the new tier", ({ account }) => account?.tier === "PRO", 600);
    await print("upgraded");

    const more = network.requests.slice(reads.length);
    if (more.length > 0) throw new Error(`The device has sent more than it read at first: ${more.join(", ")}`);
    console.log(`${reads.length} requests`);
  });

/** Delays the response of the first read of the lists until a later event has overtaken it. */
function withLateResponse(network: Network) {
  let onRead = () => {};
  const read = new Promise<void>((resolve) => (onRead = resolve));
  const overtaken = new Promise<void>((resolve) =>
    network.socket.on("message", (message) => JSON.stringify(message).includes('"ChatroomCreated"') && resolve()),
  );
  const late: Network = {
    ...network,
    async fetch(input, init) {
      const response = await network.fetch(input, init);
      if (String(init?.body).includes("chatrooms(")) {
        onRead();
        await overtaken;
      }
      return response;
    },
  };
  return { network: late, read };
}

const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
