// What runs while a user is signed in: account events, billing, the list of chatrooms and the delivery of messages.
import { socket } from "../api/socket";
import { mutate } from "../api/request";
import { clearTokens, type SignedOutReason } from "../api/tokens";
import { readBilling } from "../billing/stripe";
import { forgetDrafts } from "../chat/drafts";
import { LogoutDocument } from "../generated/operations";
import { deliverOutbox } from "../outbox/deliver";
import { closeOutbox, forgetOutbox, openOutbox, outboxStore } from "../outbox/outbox";
import { forgetAllReplies } from "../replies/savedReply";
import { clearChatrooms, followChatrooms } from "../sidebar/chatroomList";
import { closeViewed, openViewed } from "../sidebar/unread";
import { followAccount } from "./accountStore";

/** Returns a function that stops everything. */
export function startSignedIn(userId: string): () => void {
  const abort = new AbortController();
  openOutbox(userId);
  const unfollow = followAccount();
  void readBilling(abort.signal);
  const unsubscribe = outboxStore.subscribe(() => deliverOutbox(abort.signal));
  deliverOutbox(abort.signal);
  openViewed(userId);
  const unfollowChatrooms = followChatrooms();
  return () => {
    abort.abort();
    unsubscribe();
    unfollow();
    unfollowChatrooms();
    closeViewed();
    closeOutbox();
    clearChatrooms();
    // The next user must not use a socket with this user's token.
    socket.terminate();
  };
}

/** Ends this session, or all of the user. */
export async function signOut({ everywhere }: { everywhere: boolean }): Promise<void> {
  // Without a connection the session cannot be ended, but the tokens are removed from this browser.
  if (everywhere) await mutate(LogoutDocument, { everywhere });
  else await mutate(LogoutDocument, { everywhere }).catch(() => undefined);
  leave("requested");
}

/** Removes the tokens and all texts from this browser. */
export function leave(reason: SignedOutReason): void {
  forgetDrafts();
  forgetOutbox();
  forgetAllReplies();
  clearTokens(reason);
}
