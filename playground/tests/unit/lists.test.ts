import { describe, expect, test } from "vitest";
import type { ChatroomPartsFragment } from "../../src/generated/operations";
import { type ChatroomList, empty, insertChatroom, mergeFirstPage, withNextPage, without } from "../../src/sidebar/lists";

const at = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();

/** A chatroom whose last activity was at a minute. */
const chatroom = (id: string, minute: number, fields: Partial<ChatroomPartsFragment> = {}): ChatroomPartsFragment => ({
  id,
  title: id,
  model: "m",
  updatedAt: at(minute),
  pinnedAt: null,
  archivedAt: null,
  isTemporary: false,
  lastMessage: null,
  ...fields,
});

const list = (...chatrooms: ChatroomPartsFragment[]): ChatroomList => ({ ...empty, status: "ready", chatrooms });
const ids = ({ chatrooms }: ChatroomList) => chatrooms.map(({ id }) => id).join(" ");

const three = list(chatroom("c", 30), chatroom("b", 20), chatroom("a", 10));

describe("a list of chatrooms", () => {
  test("a_chatroom_with_new_activity_moves_to_its_place", () => {
    expect(ids(insertChatroom(three, chatroom("a", 25)))).toBe("c a b");
    expect(ids(insertChatroom(three, chatroom("d", 5)))).toBe("c b a d");
  });

  test("pinned_chatrooms_come_first_the_last_pinned_before_the_others", () => {
    const pinned = insertChatroom(three, chatroom("a", 10, { pinnedAt: at(40) }));
    expect(ids(pinned)).toBe("a c b");
    expect(ids(insertChatroom(pinned, chatroom("b", 20, { pinnedAt: at(50) })))).toBe("b a c");
    expect(ids(insertChatroom(pinned, chatroom("c", 60)))).toBe("a c b");
    expect(ids(insertChatroom(pinned, chatroom("a", 10)))).toBe("c b a");
  });

  test("a_chatroom_is_in_the_list_or_in_the_archive", () => {
    const archived = chatroom("b", 20, { archivedAt: at(50) });
    expect(ids(insertChatroom(three, archived))).toBe("c a");
    const archive = { ...empty, isArchive: true };
    expect(ids(insertChatroom(archive, archived))).toBe("b");
    expect(ids(insertChatroom(insertChatroom(archive, archived), chatroom("b", 20)))).toBe("");
  });

  test("a_chatroom_after_the_loaded_pages_is_left_to_its_page", () => {
    const loaded = { ...three, nextCursor: "x" };
    expect(ids(insertChatroom(loaded, chatroom("z", 5)))).toBe("c b a");
    expect(ids(insertChatroom(loaded, chatroom("c", 5)))).toBe("b a");
    expect(ids(withNextPage(loaded, { chatrooms: [chatroom("a", 10), chatroom("z", 5)], nextCursor: null }))).toBe(
      "c b a z",
    );
  });

  test("later_pages_stay_if_the_first_page_is_followed_by_them", () => {
    const page = { chatrooms: [chatroom("d", 40), chatroom("c", 30)], nextCursor: "c" };
    const merged = mergeFirstPage({ ...three, nextCursor: "a" }, page);
    expect([ids(merged), merged.nextCursor]).toEqual(["d c b a", "a"]);
    const replaced = mergeFirstPage(three, { chatrooms: [chatroom("y", 60), chatroom("x", 50)], nextCursor: "x" });
    expect([ids(replaced), replaced.nextCursor]).toEqual(["y x", "x"]);
  });

  test("a_list_without_the_deleted_chatroom_keeps_its_identity", () => {
    expect(without(three, "z")).toBe(three);
    expect(ids(without(three, "b"))).toBe("c a");
  });
});
