import { useState } from "react";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { useStore } from "../ui/store";
import { billingStore, openCheckout } from "./stripe";

/** Leaves for Stripe's checkout. Nothing, if the server is known to sell no subscriptions. */
export function UpgradeButton({ label }: { label: string }) {
  const billing = useStore(billingStore);
  const [isOpening, setIsOpening] = useState(false);
  const [error, setError] = useState<string | null>(null);
  if (billing === "not-configured") return error && <p className="quiet">{strings.billing.notConfigured}</p>;

  async function upgrade() {
    setIsOpening(true);
    setError(null);
    try {
      await openCheckout();
    } catch (failure) {
      setError(describeError(failure));
      setIsOpening(false);
    }
  }
  return (
    <>
      <button type="button" className="button accent" disabled={isOpening} onClick={() => void upgrade()}>
        {isOpening ? strings.billing.redirecting : label}
      </button>
      <ErrorText>{error}</ErrorText>
    </>
  );
}
