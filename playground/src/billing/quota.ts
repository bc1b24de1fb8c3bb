// The text of QUOTA_EXCEEDED.
import type { ErrorDetails } from "../api/errors";
import { strings } from "../strings";
import { relativeTime } from "../ui/time";

/** Which quota is used up and when it resets. Null for a quota that this page does not know. */
export function describeQuota({ quota, resetsAt }: ErrorDetails, now: number): string | null {
  if (resetsAt === undefined) return null;
  // Without the period of an abbreviated unit: the sentence ends with one.
  const time = relativeTime(resetsAt, now).replace(/\.$/, "");
  switch (quota) {
    case "DAILY_PROMPTS":
    case "DAILY_TOKENS":
    case "MONTHLY_TOKENS":
      return strings.quota.exhausted[quota](time);
    default:
      return null;
  }
}
