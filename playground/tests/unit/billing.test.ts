import { describe, expect, test } from "vitest";
import { describePrice } from "../../src/billing/price";
import { describeQuota } from "../../src/billing/quota";

describe("the price of Pro", () => {
  const price = (amount: number, currency: string) =>
    describePrice({ amount, currency, interval: "MONTH", intervalCount: 1 });

  test("has_the_decimals_of_its_currency", () => {
    expect(price(1000, "USD")).toBe("Pro costs $10.00 a month.");
    expect(price(999, "EUR")).toBe("Pro costs €9.99 a month.");
    expect(price(1000, "JPY")).toBe("Pro costs ¥1,000 a month.");
    expect(price(5120, "KWD")).toBe("Pro costs KWD\u00a05.120 a month.");
  });

  test("has_the_units_of_stripe_where_those_of_the_browser_differ", () => {
    expect(price(50_000, "ISK")).toBe("Pro costs ISK\u00a0500.00 a month.");
    expect(price(299_000, "HUF")).toBe("Pro costs HUF\u00a02,990.00 a month.");
    expect(price(500, "MGA")).toBe("Pro costs MGA\u00a0500 a month.");
  });

  test("names_its_interval", () => {
    const every = (intervalCount: number, interval: "DAY" | "WEEK" | "MONTH" | "YEAR") =>
      describePrice({ amount: 1000, currency: "USD", interval, intervalCount });
    expect(every(1, "YEAR")).toBe("Pro costs $10.00 a year.");
    expect(every(3, "MONTH")).toBe("Pro costs $10.00 every 3 months.");
    expect(every(2, "WEEK")).toBe("Pro costs $10.00 every 2 weeks.");
    expect(every(10, "DAY")).toBe("Pro costs $10.00 every 10 days.");
  });
});

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
