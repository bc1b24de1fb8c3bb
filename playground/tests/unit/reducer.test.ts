import { describe, expect, test } from "vitest";
import { initialReply, reduceReply, type ReplyEvent, type ReplyState, requestGap } from "../../src/replies/reducer";

const delta = (cursor: string, text: string): ReplyEvent => ({ __typename: "ReplyDelta", cursor, text });
const restarted = (cursor: string, attempt: number): ReplyEvent => ({ __typename: "ReplyRestarted", cursor, attempt });
const completed = (cursor: string): ReplyEvent => ({ __typename: "ReplyCompleted", cursor });

const queued = initialReply({ content: "", cursor: "0-0", status: "QUEUED" });
const reduce = (events: ReplyEvent[], from: ReplyState = queued) => events.reduce(reduceReply, from);

describe("the reply reducer", () => {
  test("appends_text_in_order_and_keeps_the_last_cursor", () => {
    const state = reduce([delta("1-3", "one"), delta("1-7", " two")]);
    expect(state).toMatchObject({ text: "one two", cursor: "1-7", status: "STREAMING" });
  });

  test("continues_the_text_of_a_resumed_reply", () => {
    const resumed = initialReply({ content: "one", cursor: "1-3", status: "STREAMING" });
    expect(reduce([delta("1-7", " two"), completed("1-7")], resumed)).toMatchObject({
      text: "one two",
      status: "COMPLETED",
    });
  });

  test("drops_an_event_that_was_seen_before", () => {
    const events = [delta("1-3", "one"), delta("1-7", " two")];
    expect(reduce([...events, ...events]).text).toBe("one two");
  });

  test("drops_the_event_at_the_cursor_of_a_resumed_reply", () => {
    const resumed = initialReply({ content: "one", cursor: "1-3", status: "STREAMING" });
    expect(reduce([delta("1-3", "one"), delta("1-7", " two")], resumed).text).toBe("one two");
  });

  test("a_restart_discards_the_text", () => {
    const state = reduce([delta("1-3", "one"), restarted("2-0", 2), delta("2-3", "uno")]);
    expect(state).toMatchObject({ text: "uno", cursor: "2-3", attempt: 2, status: "STREAMING" });
  });

  test("a_repeated_restart_discards_nothing", () => {
    const state = reduce([restarted("2-0", 2), restarted("2-0", 2), delta("2-3", "uno")]);
    expect(state.text).toBe("uno");
  });

  test("an_end_after_missing_text_is_a_gap", () => {
    const state = reduce([delta("1-3", "one"), completed("1-7")]);
    expect(state).toMatchObject({ hasGap: true, status: "STREAMING", cursor: "1-3" });
  });

  test("after_a_gap_the_missing_text_completes_the_reply", () => {
    const state = requestGap(reduce([delta("1-3", "one"), completed("1-7")]));
    expect(state.hasGap).toBe(false);
    expect(reduce([delta("1-7", " two"), completed("1-7")], state)).toMatchObject({
      text: "one two",
      status: "COMPLETED",
      hasGap: false,
    });
  });

  test("an_end_without_any_text_is_accepted_after_one_request", () => {
    const first = reduce([completed("1-0")]);
    expect(first.hasGap).toBe(true);
    expect(reduce([completed("1-0")], requestGap(first))).toMatchObject({ text: "", status: "COMPLETED", hasGap: false });
  });

  test("a_restart_after_a_gap_allows_another_request", () => {
    const requested = requestGap(reduce([delta("1-3", "one"), completed("1-7")]));
    const state = reduce([restarted("2-0", 2), delta("2-3", "uno"), completed("2-9")], requested);
    expect(state.hasGap).toBe(true);
  });

  test("a_failure_keeps_its_reason_and_the_text", () => {
    const failure = { code: "TIMED_OUT", message: "The model timed out.", retryable: true } as const;
    const state = reduce([delta("1-3", "one"), { __typename: "ReplyFailed", cursor: "1-3", failure }]);
    expect(state).toMatchObject({ text: "one", status: "FAILED", failure });
  });

  test("a_stopped_reply_keeps_its_text", () => {
    const state = reduce([delta("1-3", "one"), { __typename: "ReplyCancelled", cursor: "1-3" }]);
    expect(state).toMatchObject({ text: "one", status: "CANCELLED" });
  });

  test("nothing_changes_after_the_end", () => {
    const ended = reduce([delta("1-3", "one"), completed("1-3")]);
    expect(reduce([delta("1-7", " two"), restarted("2-0", 2)], ended)).toBe(ended);
  });

  test("the_cursor_is_opaque", () => {
    const state = reduce([delta("b", "one"), delta("a", " two"), completed("a")]);
    expect(state).toMatchObject({ text: "one two", status: "COMPLETED" });
  });
});
