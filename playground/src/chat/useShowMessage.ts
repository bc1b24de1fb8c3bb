import { useEffect } from "react";
import { useStore } from "../ui/store";
import { messageElementId } from "./messages";
import type { Room } from "./room";

/** Scrolls to a message, such as one that was found by a search, and gives it the focus. */
export function useShowMessage(room: Room, messageId: string | null): void {
  const isReady = useStore(room.store).status === "ready";
  useEffect(() => {
    if (messageId === null || !isReady) return;
    let isOver = false;
    void room.find(messageId).then(() => {
      const element = document.getElementById(messageElementId(messageId));
      if (isOver || !element) return;
      element.scrollIntoView({ block: "center" });
      element.focus({ preventScroll: true });
    });
    return () => {
      isOver = true;
    };
  }, [room, messageId, isReady]);
}
