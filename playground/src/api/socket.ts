// The WebSocket of all subscriptions. It does not reconnect by itself: each subscription resumes with its own cursor, and the
// first one that does reconnects (resume.ts).
import { createClient } from "graphql-ws";
import { connection } from "./connection";
import { SOCKET_URL } from "./endpoint";
import { SOCKET_FORBIDDEN } from "./errors";
import { accessToken, rejectAccessToken } from "./tokens";

const KEEP_ALIVE_MS = 12_000;
const PONG_TIMEOUT_MS = 6_000;
const LAZY_CLOSE_MS = 3_000;
const NORMAL_CLOSURE = 1000;

let tokenInUse: string | null = null;
let pongTimeout: ReturnType<typeof setTimeout> | undefined;

export const socket = createClient({
  url: SOCKET_URL,
  async connectionParams() {
    tokenInUse = await accessToken();
    return tokenInUse ? { authorization: `Bearer ${tokenInUse}` } : {};
  },
  retryAttempts: 0,
  lazyCloseTimeout: LAZY_CLOSE_MS,
  keepAlive: KEEP_ALIVE_MS,
  on: {
    connecting: connection.connecting,
    connected: connection.connected,
    // A network that disappeared does not close the socket: without an answer to a ping, close it here.
    ping(received) {
      if (received) return;
      clearTimeout(pongTimeout);
      pongTimeout = setTimeout(() => socket.terminate(), PONG_TIMEOUT_MS);
    },
    pong: () => clearTimeout(pongTimeout),
    closed(event) {
      clearTimeout(pongTimeout);
      const { code } = event as CloseEvent;
      if (code === SOCKET_FORBIDDEN && tokenInUse) rejectAccessToken(tokenInUse);
      if (code === NORMAL_CLOSURE) connection.closed();
      else connection.lost();
    },
  },
});

// When the browser reports that the network is gone, do not wait for the ping.
window.addEventListener("offline", () => socket.terminate());
