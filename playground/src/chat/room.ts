// An open chatroom: its messages, the replies that are being written, and the events that keep both current.
//
//   query Messages ──► messages ◄── chatroomEvents (all devices), sendMessage, regenerateReply, editMessage
//                         │
//                         └──► followReply for each reply that is not final
import type { ApiError } from "../api/errors";
import { mutate, query } from "../api/request";
import { subscribeWithResume } from "../api/resume";
import {
  EditMessageDocument,
  type Feedback,
  FollowChatroomDocument,
  MessageBranchDocument,
  type FollowChatroomSubscription,
  MessagesDocument,
  RateReplyDocument,
  RegenerateReplyDocument,
  SelectAlternativeDocument,
  StopReplyDocument,
} from "../generated/operations";
import { setUsage } from "../account/accountStore";
import { type FollowedReply, followReply } from "../replies/followReply";
import { isFinal, type ReplyState } from "../replies/reducer";
import { removeChatroom } from "../sidebar/chatroomList";
import { onDelivered } from "../outbox/deliver";
import { createStore, type Store } from "../ui/store";
import { applyMessage, changeMessage, insertMessage, mergeNewestPage, type Message } from "./messages";
import { toApiError } from "../api/errors";

const PAGE_SIZE = 30;
/** How many pages are read to find a message. */
const MAX_PAGES = 40;
const RELOAD_DELAY_MS = 50;

export interface RoomState {
  status: "loading" | "ready" | "missing" | "failed";
  title: string;
  model: string;
  isPinned: boolean;
  isArchived: boolean;
  isTemporary: boolean;
  messages: readonly Message[];
  /** Where the page before the oldest message ends. Null: there is none. */
  olderCursor: string | null;
  isLoadingOlder: boolean;
}

const loading: RoomState = {
  status: "loading",
  title: "",
  model: "",
  isPinned: false,
  isArchived: false,
  isTemporary: false,
  messages: [],
  olderCursor: null,
  isLoadingOlder: false,
};

const fieldsOf = ({ title, model, pinnedAt, archivedAt, isTemporary }: ChatroomFields) => ({
  title,
  model,
  isPinned: pinnedAt !== null,
  isArchived: archivedAt !== null,
  isTemporary,
});

interface ChatroomFields {
  title: string;
  model: string;
  pinnedAt: string | null;
  archivedAt: string | null;
  isTemporary: boolean;
}

type Change = FollowChatroomSubscription["chatroomEvents"]["change"];

export class Room {
  readonly store: Store<RoomState> = createStore(loading);
  private readonly replies = new Map<string, FollowedReply>();
  private cursor: string | null = null;
  /** Changes that arrived before the messages were read. */
  private pending: Change[] = [];
  private closers: (() => void)[] = [];
  private isOpen = false;
  private reload: ReturnType<typeof setTimeout> | undefined;

  constructor(readonly id: string) {}

  open(): void {
    this.isOpen = true;
    let isFirst = true;
    this.closers = [
      subscribeWithResume({
        document: FollowChatroomDocument,
        variables: () => {
          // Without a cursor, only live events arrive: what happened while the connection was broken has to be read.
          if (!isFirst && this.cursor === null) void this.load();
          isFirst = false;
          return { chatroomId: this.id, after: this.cursor };
        },
        onEvent: ({ chatroomEvents }) => {
          this.cursor = chatroomEvents.cursor;
          this.apply(chatroomEvents.change);
          return "continue";
        },
        onError: (error) => this.fail(error),
      }),
      onDelivered(({ chatroomId, message, reply }) => {
        if (chatroomId !== this.id) return;
        this.insert(message);
        this.insert(reply);
      }),
    ];
    void this.load();
  }

  close(): void {
    this.isOpen = false;
    clearTimeout(this.reload);
    for (const close of this.closers) close();
    for (const reply of this.replies.values()) reply.close();
    this.replies.clear();
  }

  /** Reads the newest messages. */
  async load(): Promise<void> {
    try {
      const { chatroom } = await query(MessagesDocument, { chatroomId: this.id, last: PAGE_SIZE });
      if (!this.isOpen) return;
      if (!chatroom) return this.update({ status: "missing" });
      const before = this.store.get();
      const { nodes, pageInfo } = chatroom.messages;
      const messages = mergeNewestPage(before.messages, nodes);
      const keepsOlder = before.status === "ready" && messages.length > nodes.length;
      this.set({
        ...before,
        status: "ready",
        ...fieldsOf(chatroom),
        messages,
        olderCursor: keepsOlder ? before.olderCursor : pageInfo.hasPreviousPage ? pageInfo.startCursor : null,
      });
      const pending = this.pending;
      this.pending = [];
      for (const change of pending) this.apply(change);
    } catch (error) {
      if (this.isOpen) this.fail(toApiError(error));
    }
  }

  /** Reads older messages until this one is there, if it is not too far away; it may be on another branch. */
  async find(messageId: string): Promise<void> {
    const isLoaded = () => this.store.get().messages.some(({ id }) => id === messageId);
    try {
      const { node } = await query(MessageBranchDocument, { messageId });
      if (node && "isCurrent" in node && !node.isCurrent) await this.selectAlternative(messageId);
    } catch {
      // It is shown if it is on the current branch.
    }
    for (let page = 0; page < MAX_PAGES && !isLoaded() && this.store.get().olderCursor !== null; page++) {
      await this.loadOlder();
    }
  }

  async loadOlder(): Promise<void> {
    const { olderCursor: before, isLoadingOlder } = this.store.get();
    if (before === null || isLoadingOlder) return;
    this.update({ isLoadingOlder: true });
    try {
      const { chatroom } = await query(MessagesDocument, { chatroomId: this.id, last: PAGE_SIZE, before });
      if (!this.isOpen || !chatroom) return;
      const { nodes, pageInfo } = chatroom.messages;
      const { messages } = this.store.get();
      const known = new Set(messages.map(({ id }) => id));
      this.update({
        messages: [...nodes.filter(({ id }) => !known.has(id)), ...messages],
        olderCursor: pageInfo.hasPreviousPage ? pageInfo.startCursor : null,
      });
    } catch {
      // Scrolling to the beginning tries again.
    } finally {
      if (this.isOpen) this.update({ isLoadingOlder: false });
    }
  }

  /** The text of a reply, live until it has ended. */
  reply(message: Message): FollowedReply {
    const known = this.replies.get(message.id);
    if (known) return known;
    const followed = followReply(message, (end) => this.onReplyEnd(message.id, end));
    this.replies.set(message.id, followed);
    return followed;
  }

  /** Rejects with an ApiError. */
  async stopReply(messageId: string): Promise<void> {
    await mutate(StopReplyDocument, { messageId });
  }

  /** Rejects with an ApiError. With the same key, a repeated call returns the first result. */
  async regenerateReply(messageId: string, idempotencyKey: string): Promise<void> {
    const { regenerateReply } = await mutate(RegenerateReplyDocument, { messageId, idempotencyKey });
    setUsage(regenerateReply.usage);
    this.insert(regenerateReply.reply);
  }

  /** Rejects with an ApiError. With the same key, a repeated call returns the first result. */
  async editMessage(messageId: string, content: string, idempotencyKey: string): Promise<void> {
    const { editMessage } = await mutate(EditMessageDocument, { messageId, content, idempotencyKey });
    setUsage(editMessage.usage);
    this.insert(editMessage.message);
    this.insert(editMessage.reply);
  }

  /** Shows another version of a message, on all devices. Rejects with an ApiError. */
  async selectAlternative(messageId: string): Promise<void> {
    await mutate(SelectAlternativeDocument, { messageId });
    await this.load();
  }

  /** Rejects with an ApiError. */
  async rateReply(messageId: string, feedback: Feedback | null): Promise<void> {
    const { rateReply } = await mutate(RateReplyDocument, { messageId, feedback });
    this.setMessages(changeMessage(this.store.get().messages, rateReply.message));
  }

  private apply(change: Change): void {
    if (change.__typename === "ChatroomDeleted") {
      removeChatroom(this.id);
      return this.update({ status: "missing" });
    }
    if (this.store.get().status !== "ready") {
      this.pending.push(change);
      return;
    }
    if (change.__typename === "MessageAdded")
      this.setMessages(applyMessage(this.store.get().messages, change.message, true));
    if (change.__typename === "MessageChanged") {
      this.setMessages(applyMessage(this.store.get().messages, change.message, false));
    }
    if (change.__typename === "ChatroomUpdated") this.update(fieldsOf(change.chatroom));
  }

  private insert(message: Message): void {
    this.setMessages(insertMessage(this.store.get().messages, message));
  }

  /** Null: the change does not fit to the messages that are loaded, so read them. */
  private setMessages(messages: readonly Message[] | null): void {
    if (messages !== null) return this.update({ messages });
    // After a long absence, many changes arrive at once: one read is enough for all.
    this.reload ??= setTimeout(() => {
      this.reload = undefined;
      void this.load();
    }, RELOAD_DELAY_MS);
  }

  private onReplyEnd(id: string, { status, text, failure }: ReplyState): void {
    const { messages } = this.store.get();
    this.update({ messages: messages.map((one) => (one.id === id ? { ...one, status, failure, content: text } : one)) });
  }

  private fail(error: ApiError): void {
    if (error.code === "NOT_FOUND" || error.code === "BAD_USER_INPUT") this.update({ status: "missing" });
    else if (this.store.get().status === "loading") this.update({ status: "failed" });
  }

  private update(fields: Partial<RoomState>): void {
    this.set({ ...this.store.get(), ...fields });
  }

  private set(state: RoomState): void {
    // Follow replies before they are rendered, so that the store exists and a component only reads it.
    for (const message of state.messages) {
      if (message.role === "MODEL" && !isFinal(message.status)) this.reply(message);
    }
    this.store.set(state);
  }
}
