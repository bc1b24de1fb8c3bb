import { describe, expect, test } from "vitest";
import { describeQuota } from "../../src/billing/quota";

describe("a used-up quota", () => {
  const now = Date.parse("2026-01-15T12:00:00Z");
  const resetsAt = "2026-01-15T17:30:00Z";

  test("is_named_with_the_time_at_which_it_resets", () => {
    const describe = (quota: string) => describeQuota({ quota, resetsAt }, now);
    expect(describe("DAILY_PROMPTS")).toBe("You have used all prompts of today. The quota resets in 5 hr.");
    expect(describe("DAILY_TOKENS")).toBe("You have used all tokens of today. The quota resets in 5 hr.");
    expect(describe("MONTHLY_TOKENS")).toBe("You have used all tokens of this month. The quota resets in 5 hr.");
  });

  test("has_the_text_of_the_server_if_it_is_unknown", () => {
    expect(describeQuota({ quota: "YEARLY_IMAGES", resetsAt }, now)).toBeNull();
    expect(describeQuota({ resetsAt }, now)).toBeNull();
  });
});
