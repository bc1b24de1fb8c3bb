import { useEffect } from "react";
import type { Chatroom } from "../sidebar/chatroomList";
import { markViewed } from "../sidebar/unread";

/** Records the newest reply of an open chatroom as shown, as soon as the page is visible. */
export function useMarkViewed(chatroom: Chatroom | undefined): void {
  useEffect(() => {
    if (!chatroom) return;
    const mark = () => {
      if (document.visibilityState === "visible") markViewed(chatroom);
    };
    mark();
    document.addEventListener("visibilitychange", mark);
    return () => document.removeEventListener("visibilitychange", mark);
  }, [chatroom]);
}
