// Whether the server sells subscriptions, and Stripe's pages: the checkout and the customer portal. Both return to this page.
import { backoffDelay, wait } from "../api/backoff";
import { ApiError, toApiError } from "../api/errors";
import { mutate, queryPartially } from "../api/request";
import {
  BillingDocument,
  type BillingQuery,
  OpenBillingPortalDocument,
  StartCheckoutDocument,
} from "../generated/operations";
import { createStore } from "../ui/store";

/** Null until it is known. The same for all users. */
export const billingStore = createStore<BillingQuery["billing"] | null>(null);

/** Reads it once, with retries while the server cannot be reached. */
export async function readBilling(signal: AbortSignal): Promise<void> {
  for (let failures = 1; billingStore.get() === null && !signal.aborted; failures += 1) {
    try {
      billingStore.set((await queryPartially(BillingDocument, {})).billing);
    } catch (error) {
      if (!toApiError(error).isTemporary) return;
      await wait(backoffDelay(failures), signal);
    }
  }
}

/** Leaves for the checkout, or for the portal if there is a subscription already. Rejects with an ApiError. */
export async function openCheckout(): Promise<void> {
  try {
    const { startCheckout } = await mutate(StartCheckoutDocument, {});
    leaveFor(startCheckout.url);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "ALREADY_SUBSCRIBED") throw error;
    await openPortal();
  }
}

/** Rejects with an ApiError. */
export async function openPortal(): Promise<void> {
  const { openBillingPortal } = await mutate(OpenBillingPortalDocument, {});
  leaveFor(openBillingPortal.url);
}

function leaveFor(url: string): void {
  if (new URL(url).protocol !== "https:") throw new ApiError("PAYMENT_PROVIDER_ERROR", "");
  location.assign(url);
}
