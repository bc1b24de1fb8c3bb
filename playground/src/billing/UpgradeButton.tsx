import { useState } from "react";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { useStore } from "../ui/store";
import { billingStore, openCheckout } from "./stripe";

/** Leaves for Stripe's checkout. Nothing, unless the server sells subscriptions. */
export function UpgradeButton({ label }: { label: string }) {
  const isConfigured = useStore(billingStore)?.isConfigured;
  const [isOpening, setIsOpening] = useState(false);
  const [error, setError] = useState<string | null>(null);
  if (!isConfigured) return null;

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
