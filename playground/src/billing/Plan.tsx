import { accountStore } from "../account/accountStore";
import { Section } from "../account/Section";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { useStore } from "../ui/store";
import { formatDate } from "../ui/time";
import { useSubmit } from "../ui/useSubmit";
import { describePrice } from "./price";
import { billingStore, openPortal } from "./stripe";
import { UpgradeButton } from "./UpgradeButton";

export function Plan() {
  const account = useStore(accountStore);
  const price = useStore(billingStore)?.proPrice;
  const portal = useSubmit(openPortal);
  const { billing } = strings;
  if (!account) return null;
  const { tier, state, currentPeriodEnd, cancelAtPeriodEnd } = account.subscription;
  const isPro = tier === "PRO";
  return (
    <Section title={billing.title}>
      <p>
        <strong className="tier" data-tier={tier}>
          {isPro ? billing.pro : billing.basic}
        </strong>{" "}
        {isPro ? billing.proText : billing.basicText(account.usage.limit ?? 0)}
      </p>
      {billing.states[state] !== "" && <p>{billing.states[state]}</p>}
      {isPro && currentPeriodEnd !== null && (
        <p className="quiet">{(cancelAtPeriodEnd ? billing.ends : billing.renews)(formatDate(currentPeriodEnd))}</p>
      )}
      {!isPro && price && <p>{describePrice(price)}</p>}
      <div className="actions">
        {!isPro && <UpgradeButton label={billing.upgrade} />}
        {state !== "NONE" && (
          <button type="button" className="button" disabled={portal.isRunning} onClick={() => portal.submit()}>
            {billing.manage}
          </button>
        )}
      </div>
      <ErrorText>{portal.failure?.text ?? null}</ErrorText>
    </Section>
  );
}
