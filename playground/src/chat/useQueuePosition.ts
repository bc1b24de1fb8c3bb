import { useEffect, useState } from "react";
import { query } from "../api/request";
import { type MessageStatus, QueuePositionDocument } from "../generated/operations";
import type { Message } from "./messages";

const POLL_MS = 2_000;

/** The number of replies before a queued one. The API has no event for it, so that it is read while others are before it. */
export function useQueuePosition({ id, queuePosition }: Message, status: MessageStatus): number {
  const [position, setPosition] = useState(queuePosition ?? 0);
  const isWaiting = status === "QUEUED" && position > 0;
  useEffect(() => {
    if (!isWaiting) return;
    const timer = setInterval(() => {
      query(QueuePositionDocument, { messageId: id }).then(
        ({ node }) => setPosition(node && "queuePosition" in node ? (node.queuePosition ?? 0) : 0),
        () => undefined,
      );
    }, POLL_MS);
    return () => clearInterval(timer);
  }, [id, isWaiting]);
  return status === "QUEUED" ? position : 0;
}
