// The state of the WebSocket, for the connection indicator.
import { createStore } from "../ui/store";

export type Connection = "idle" | "connecting" | "connected" | "reconnecting" | "offline";

export const connectionStore = createStore<Connection>("idle");

let wasConnected = false;

export const connection = {
  connecting: () => connectionStore.set(wasConnected ? "reconnecting" : "connecting"),
  connected: () => {
    wasConnected = true;
    connectionStore.set("connected");
  },
  lost: () => connectionStore.set(navigator.onLine ? "reconnecting" : "offline"),
  /** Closed on purpose. */
  closed: () => {
    wasConnected = false;
    connectionStore.set("idle");
  },
};

window.addEventListener("offline", () => connectionStore.set("offline"));
window.addEventListener("online", () => {
  if (connectionStore.get() === "offline") connectionStore.set("reconnecting");
});
