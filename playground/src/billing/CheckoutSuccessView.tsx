// The way back from Stripe's checkout. The webhook changes the tier by accountEvents; checkoutStatus also works without it.
import { useEffect, useState } from "react";
import { accountStore } from "../account/accountStore";
import { ApiError } from "../api/errors";
import { query } from "../api/request";
import { CheckoutStatusDocument } from "../generated/operations";
import { strings } from "../strings";
import { Loading } from "../ui/Loading";
import { MessagePage } from "../ui/MessagePage";
import { useStore } from "../ui/store";

const POLL_MS = [500, 1_000, 2_000, 3_000, 5_000, 8_000, 10_000, 15_000];

export default function CheckoutSuccessView({ sessionId }: { sessionId: string }) {
  const [status, setStatus] = useState<"OPEN" | "COMPLETE" | "EXPIRED" | "UNCONFIRMED">("OPEN");
  const isPro = useStore(accountStore)?.subscription.tier === "PRO";

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let isOver = false;
    async function poll(attempt: number) {
      try {
        const { checkoutStatus } = await query(CheckoutStatusDocument, { sessionId });
        if (isOver) return;
        setStatus(checkoutStatus);
        if (checkoutStatus !== "OPEN") return;
      } catch (error) {
        if (isOver) return;
        if (error instanceof ApiError && !error.isTemporary && error.code !== "PAYMENT_PROVIDER_ERROR") {
          return setStatus("UNCONFIRMED");
        }
      }
      const delay = POLL_MS[attempt];
      if (delay === undefined) return setStatus("UNCONFIRMED");
      timer = setTimeout(() => void poll(attempt + 1), delay);
    }
    void poll(0);
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [sessionId]);

  const { billing } = strings;
  if (isPro || status === "COMPLETE") return <MessagePage title={billing.completeTitle} text={billing.completeText} />;
  if (status === "EXPIRED") return <MessagePage title={billing.expiredTitle} text={billing.expiredText} />;
  if (status === "UNCONFIRMED") return <MessagePage title={billing.unconfirmedTitle} text={billing.unconfirmedText} />;
  return (
    <MessagePage title={billing.confirmingTitle} text={billing.confirmingText}>
      <Loading label={billing.confirmingTitle} />
    </MessagePage>
  );
}
