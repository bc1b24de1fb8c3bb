// The addresses of the page's views. The server returns the same index.html for all of them.
import { createStore, useStore } from "./ui/store";

export type Route =
  | { view: "new-chat" }
  /** With a message, the one to show. */
  | { view: "chat"; id: string; messageId: string | null }
  | { view: "account" }
  | { view: "archived" }
  | { view: "shared"; token: string }
  | { view: "checkout-success"; sessionId: string }
  | { view: "checkout-cancel" }
  | { view: "not-found" };

export function parseRoute({ pathname, search }: Pick<Location, "pathname" | "search">): Route {
  const [first, second, ...rest] = pathname.split("/").filter((part) => part !== "");
  if (rest.length > 0) return { view: "not-found" };
  if (first === undefined) return { view: "new-chat" };
  if (first === "c" && second !== undefined) {
    return { view: "chat", id: decode(second), messageId: new URLSearchParams(search).get("message") };
  }
  if (first === "account" && second === undefined) return { view: "account" };
  if (first === "archived" && second === undefined) return { view: "archived" };
  if (first === "share" && second !== undefined) return { view: "shared", token: decode(second) };
  if (first === "billing" && second === "success") {
    return { view: "checkout-success", sessionId: new URLSearchParams(search).get("session_id") ?? "" };
  }
  if (first === "billing" && second === "cancel") return { view: "checkout-cancel" };
  return { view: "not-found" };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export const paths = {
  newChat: "/",
  chat: (id: string) => `/c/${encodeURIComponent(id)}`,
  message: (chatroomId: string, messageId: string) =>
    `${paths.chat(chatroomId)}?${new URLSearchParams({ message: messageId }).toString()}`,
  account: "/account",
  archived: "/archived",
  graphiql: "/graphiql",
};

const routeStore = createStore<Route>(parseRoute(location));
window.addEventListener("popstate", () => routeStore.set(parseRoute(location)));

export const useRoute = () => useStore(routeStore);

export const currentRoute = () => routeStore.get();

export function navigate(path: string, options: { replace?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", path);
  else if (path !== location.pathname + location.search) history.pushState(null, "", path);
  routeStore.set(parseRoute(location));
}
