// Tier, billing state and quota, kept current on all devices by accountEvents.
import { subscribeWithResume } from "../api/resume";
import { FollowAccountDocument, type FollowAccountSubscription } from "../generated/operations";
import { createStore } from "../ui/store";

export type AccountState = FollowAccountSubscription["accountEvents"];
export type Usage = AccountState["usage"];

/** Null until the first event, which is the current state. */
export const accountStore = createStore<AccountState | null>(null);

/** Returns a function that stops following. */
export function followAccount(): () => void {
  const unsubscribe = subscribeWithResume({
    document: FollowAccountDocument,
    variables: () => ({}),
    onEvent({ accountEvents }) {
      accountStore.set(accountEvents);
      return "continue";
    },
  });
  return () => {
    unsubscribe();
    accountStore.set(null);
  };
}

/** The quota after a prompt, from the response of the mutation that used it. */
export function setUsage(usage: Usage): void {
  const account = accountStore.get();
  if (account) accountStore.set({ ...account, usage });
}
