import { accountStore } from "../account/accountStore";
import { strings } from "../strings";
import { useStore } from "../ui/store";
import { relativeTime, useNow } from "../ui/time";
import { UpgradeButton } from "./UpgradeButton";

/** The prompts of today and when they reset. */
export function QuotaMeter() {
  const account = useStore(accountStore);
  const now = useNow();
  if (!account) return <div className="quota skeleton" />;
  const { used, limit, resetsAt } = account.usage;
  if (limit === null) return <p className="quota">{strings.quota.unlimited}</p>;
  const share = limit === 0 ? 1 : Math.min(1, used / limit);
  return (
    <div className="quota" data-level={share >= 1 ? "full" : share >= 0.8 ? "high" : undefined}>
      <div
        className="meter"
        role="meter"
        aria-label={strings.quota.label}
        aria-valuemin={0}
        aria-valuemax={limit}
        aria-valuenow={Math.min(used, limit)}
        aria-valuetext={strings.quota.used(used, limit)}
      >
        <span style={{ inlineSize: `${share * 100}%` }} />
      </div>
      <p>{strings.quota.used(used, limit)}</p>
      <p className="quiet">{strings.quota.resets(relativeTime(resetsAt, now))}</p>
      <UpgradeButton label={strings.quota.upgrade} />
    </div>
  );
}
