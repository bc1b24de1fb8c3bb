import { describe, expect, test } from "vitest";
import {
  applyMessage,
  changeMessage,
  insertMessage,
  mergeNewestPage,
  type Message,
  undelivered,
} from "../../src/chat/messages";
import type { OutboxMessage } from "../../src/outbox/outbox";

function message(id: string, inReplyTo: string | null, fields: Partial<Message> = {}): Message {
  return {
    id,
    inReplyTo: inReplyTo === null ? null : { id: inReplyTo },
    role: id.startsWith("r") ? "MODEL" : "USER",
    content: id,
    status: "COMPLETED",
    cursor: "0-0",
    queuePosition: null,
    model: null,
    createdAt: "2026-01-01T00:00:00Z",
    alternatives: [{ id }],
    isCurrent: true,
    feedback: null,
    failure: null,
    ...fields,
  };
}

const [u1, r1, u2, r2] = [message("u1", null), message("r1", "u1"), message("u2", "r1"), message("r2", "u2")];
const ids = (messages: readonly Message[] | null) => messages?.map(({ id }) => id);

const pending = (content: string, after: string | null): OutboxMessage => ({
  key: content,
  chatroomId: "c",
  model: null,
  isTemporary: false,
  content,
  after,
  rejection: null,
});

describe("the messages of a chatroom", () => {
  test("a_message_follows_the_one_that_it_answers", () => {
    expect(ids(insertMessage([u1, r1], u2))).toEqual(["u1", "r1", "u2"]);
    expect(ids(insertMessage([], u1))).toEqual(["u1"]);
  });

  test("a_regenerated_reply_replaces_the_old_one_and_what_followed_it", () => {
    expect(ids(insertMessage([u1, r1, u2, r2], message("r3", "u1")))).toEqual(["u1", "r3"]);
  });

  test("a_message_that_is_added_twice_is_there_once", () => {
    expect(ids(insertMessage([u1, r1], r1))).toEqual(["u1", "r1"]);
  });

  test("a_reply_that_has_ended_does_not_return_to_an_earlier_state", () => {
    const queued = message("r1", "u1", { status: "QUEUED", content: "" });
    for (const messages of [
      insertMessage([u1, r1], queued),
      changeMessage([u1, r1], queued),
      mergeNewestPage([u1, r1], [u1, queued]),
    ]) {
      expect(messages).toEqual([u1, r1]);
    }
    expect(changeMessage([u1, queued], r1)).toEqual([u1, r1]);
  });

  test("a_message_without_its_parent_requires_reading_the_list", () => {
    expect(insertMessage([u1, r1], message("r9", "u9"))).toBeNull();
    expect(changeMessage([u1], r1)).toBeNull();
  });

  test("a_message_that_leaves_the_branch_takes_along_what_follows_it", () => {
    const left = message("u2", "r1", { isCurrent: false });
    expect(ids(applyMessage([u1, r1, u2, r2], left, false))).toEqual(["u1", "r1"]);
    expect(ids(applyMessage([u1], left, false))).toEqual(["u1"]);
  });

  test("a_version_that_becomes_current_replaces_the_other_one", () => {
    expect(ids(applyMessage([u1, r1, u2, r2], message("u3", "r1"), false))).toEqual(["u1", "r1", "u3"]);
    expect(ids(applyMessage([u1, r1], message("u4", null), true))).toEqual(["u4"]);
  });

  test("a_changed_first_message_that_is_not_loaded_replaces_nothing", () => {
    expect(applyMessage([u2, r2], u1, false)).toBeNull();
  });

  test("older_messages_stay_if_the_newest_page_continues_them", () => {
    expect(ids(mergeNewestPage([u1, r1, u2], [u2, r2]))).toEqual(["u1", "r1", "u2", "r2"]);
    expect(ids(mergeNewestPage([u1, r1], [u2, r2]))).toEqual(["u2", "r2"]);
  });

  test("a_message_of_the_outbox_is_hidden_once_the_server_has_stored_it", () => {
    const sent = pending("u2", "r1");
    expect(undelivered([u1, r1], [sent])).toEqual([sent]);
    expect(undelivered([u1, r1, u2], [sent])).toEqual([]);
  });

  test("the_same_text_sent_earlier_hides_nothing", () => {
    const same = pending("u1", "r1");
    expect(undelivered([u1, r1], [same])).toEqual([same]);
  });

  test("each_stored_message_hides_one_message_of_the_outbox", () => {
    const twice = [pending("u2", "r1"), { ...pending("u2", "r1"), key: "second" }];
    expect(undelivered([u1, r1, u2], twice)).toHaveLength(1);
  });
});
