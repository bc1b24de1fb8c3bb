// What a device shows, of what its client has read or has in its cache.
import type { ChatroomItemFragment, ChatroomQuery, ChatroomsQuery, MeQuery } from "./generated/operations";
import { branch, inOrder } from "./shown";

/** Shows data of a cache, or, with `inOrder` and `branch` replaced by `nodesOf`, the order of a response. */
export const shown = {
  account({ me }: MeQuery) {
    const { subscription, usage } = me!;
    return { account: { tier: subscription.tier, used: usage.used, remaining: usage.remaining } };
  },
  lists({ chatrooms, archived }: ChatroomsQuery, order = inOrder) {
    const items = ({ id, title, pinnedAt, updatedAt }: ChatroomItemFragment) => ({ id, title, pinnedAt, updatedAt });
    return { lists: [chatrooms, archived].map((page) => order(page).map(items)) };
  },
  messages: ({ chatroom }: ChatroomQuery, order = branch) => ({
    messages: chatroom && order(chatroom.messages).map(({ id, role, content, status }) => ({ id, role, content, status })),
  }),
};

type Account = ReturnType<typeof shown.account>;
type Lists = ReturnType<typeof shown.lists>;
type Messages = ReturnType<typeof shown.messages>;

export class Screen {
  account: Account["account"] | undefined;
  /** The list and the archive. */
  lists: Lists["lists"] | undefined;
  /** Null if the chatroom was deleted. */
  messages: Messages["messages"] | undefined;
  #changed = () => {};

  show(part: Account | Lists | Messages) {
    Object.assign(this, part);
    this.#changed();
  }

  /** Waits until the screen is as described. */
  async until(description: string, isShown: (screen: Screen) => boolean, seconds = 10) {
    const fail = () => {
      throw new Error(`${description}: not shown after ${seconds} s; instead ${JSON.stringify(this)}`);
    };
    const timer = setTimeout(fail, seconds * 1000);
    while (!isShown(this)) await new Promise<void>((resolve) => (this.#changed = resolve));
    clearTimeout(timer);
  }

  toString() {
    const titles = this.lists?.map((list) => list.map(({ title, pinnedAt }) => (pinnedAt ? `${title}*` : title)).join(", "));
    const messages = this.messages?.map(({ content }) => content.slice(0, 40)).join(" | ") ?? "-";
    const { tier, used, remaining } = this.account ?? {};
    return `${titles?.map((list) => `[${list}]`).join(" ")} ${messages}; ${tier}, ${used} used, ${remaining ?? "unlimited"} left`;
  }
}
