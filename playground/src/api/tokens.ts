// The tokens of the session, shared by all tabs. Refreshing them happens here and nowhere else.
//
// A refresh token works once, so two tabs must not use the same one: the refresh runs under a Web Lock, and a tab that had to
// wait for the lock finds the tokens that another tab received meanwhile. They are also stored in IndexedDB, because a write to
// localStorage may reach other tabs only after the lock has.
import { del, get, set } from "idb-keyval";
import type { TokensFragment } from "../generated/operations";
import { persistent } from "../ui/storage";
import { createStore } from "../ui/store";
import { ApiError } from "./errors";
import { requestTokens } from "./requestTokens";
import { serverNow } from "./serverClock";

const KEY = "pollux.session";
const LOCK = "pollux.refresh";
const SUCCESSOR_KEY = "pollux.successor";
/** A token is refreshed this long before it expires, so that it does not expire on the way. */
const MARGIN_MS = 20_000;

export interface Session {
  userId: string;
  accessToken: string;
  refreshToken: string;
  /** When to refresh, by the clock of this device. */
  refreshAt: number;
}

/** Why the user is signed out. */
export type SignedOutReason = "never" | "requested" | "session-ended" | "account-deleted";

type SessionState = { session: Session } | { session: null; reason: SignedOutReason };

const stored = persistent.read<Session>(KEY);
export const sessionStore = createStore<SessionState>(stored ? { session: stored } : { session: null, reason: "never" });

window.addEventListener("storage", ({ key }) => {
  if (key !== KEY && key !== null) return;
  const session = persistent.read<Session>(KEY);
  if (session) sessionStore.set({ session });
  else if (sessionStore.get().session) sessionStore.set({ session: null, reason: "session-ended" });
});

function keep(session: Session): void {
  persistent.write(KEY, session);
  sessionStore.set({ session });
}

/** Stores new tokens. */
export function storeTokens(tokens: TokensFragment): Session {
  const lifetime = Date.parse(tokens.accessTokenExpiresAt) - serverNow();
  const session = {
    userId: tokens.user.id,
    accessToken: tokens.accessToken,
    refreshToken: tokens.refreshToken,
    refreshAt: Date.now() + Math.max(lifetime - MARGIN_MS, lifetime / 2),
  };
  keep(session);
  return session;
}

export function clearTokens(reason: SignedOutReason): void {
  persistent.remove(KEY);
  void ignoreErrors(() => del(SUCCESSOR_KEY));
  sessionStore.set({ session: null, reason });
}

const signedOut = () => new ApiError("UNAUTHENTICATED", "");
let rejected: string | null = null;

/** Records that the server did not accept this access token, so that the next caller refreshes it. */
export function rejectAccessToken(token: string): void {
  rejected = token;
}

const isUsable = (session: Session) => session.accessToken !== rejected && Date.now() < session.refreshAt;

/**
 * A valid access token, refreshed first if necessary. Null if the user is signed out.
 *
 * Throws an ApiError: UNAUTHENTICATED if the session has ended, otherwise a temporary one.
 */
export async function accessToken(): Promise<string | null> {
  const { session } = sessionStore.get();
  if (!session) return null;
  return isUsable(session) ? session.accessToken : (await refreshOnce()).accessToken;
}

let running: Promise<Session> | null = null;

function refreshOnce(): Promise<Session> {
  running ??= withLock(refresh).finally(() => {
    running = null;
  });
  return running;
}

/** Web Locks need a secure context. Without them the server's tolerance for a repeated refresh token is enough. */
const withLock = <T>(task: () => Promise<T>): Promise<T> =>
  "locks" in navigator ? navigator.locks.request(LOCK, task) : task();

/** The latest refresh. Its new session belongs to whoever still has the refresh token that it used. */
interface Successor {
  of: string;
  session: Session;
}

/** Without IndexedDB, as in some private windows, the server's tolerance for a repeated refresh token is enough. */
async function ignoreErrors<T>(access: () => Promise<T>): Promise<T | undefined> {
  try {
    return await access();
  } catch {
    return undefined;
  }
}

async function refresh(): Promise<Session> {
  let current = persistent.read<Session>(KEY) ?? sessionStore.get().session;
  if (!current) throw signedOut();
  const successor = await ignoreErrors(() => get<Successor>(SUCCESSOR_KEY));
  if (successor?.of === current.refreshToken) current = successor.session;
  if (isUsable(current)) {
    keep(current);
    return current;
  }
  try {
    const session = storeTokens(await requestTokens(current.refreshToken));
    const received: Successor = { of: current.refreshToken, session };
    await ignoreErrors(() => set(SUCCESSOR_KEY, received));
    return session;
  } catch (error) {
    if (error instanceof ApiError && error.code === "UNAUTHENTICATED") clearTokens("session-ended");
    throw error;
  }
}
