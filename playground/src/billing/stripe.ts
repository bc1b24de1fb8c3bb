// Stripe's pages: the checkout and the customer portal. Both return to this page.
import { ApiError } from "../api/errors";
import { mutate } from "../api/request";
import { OpenBillingPortalDocument, StartCheckoutDocument } from "../generated/operations";
import { createStore } from "../ui/store";

/** Whether the server sells subscriptions, as far as it is known. */
export const billingStore = createStore<"unknown" | "not-configured">("unknown");

/** Leaves for the checkout, or for the portal if there is a subscription already. Rejects with an ApiError. */
export async function openCheckout(): Promise<void> {
  try {
    const { startCheckout } = await mutate(StartCheckoutDocument, {});
    leaveFor(startCheckout.url);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === "BILLING_NOT_CONFIGURED") billingStore.set("not-configured");
    if (error.code !== "ALREADY_SUBSCRIBED") throw error;
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
