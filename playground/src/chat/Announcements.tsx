// Announces a reply politely while it is written. The reply itself is no live region: it would be announced word by word.
import { useEffect, useState } from "react";
import type { FollowedReply } from "../replies/followReply";
import { isFinal } from "../replies/reducer";
import { strings } from "../strings";
import { nextAnnouncement } from "./speech";

const EVERY_MS = 2_000;
/** Announced texts are kept, so that a screen reader does not lose one that it has not begun to speak. */
const KEPT = 5;

interface Announcement {
  id: number;
  speech: string;
}

export function Announcements({ reply }: { reply: FollowedReply }) {
  const [announcements, setAnnouncements] = useState<readonly Announcement[]>([]);
  useEffect(() => {
    let position = reply.get().text.length;
    let isOver = false;
    const announce = (speech: string) => {
      if (speech === "") return;
      setAnnouncements((before) => [...before.slice(1 - KEPT), { id: (before.at(-1)?.id ?? 0) + 1, speech }]);
    };
    const update = () => {
      if (isOver) return;
      const { text, status } = reply.get();
      isOver = isFinal(status);
      if (text.length < position) position = 0;
      const next = nextAnnouncement(text, position, isOver);
      position = next.to;
      announce(next.speech);
      if (isOver) announce(endOf(status));
    };
    const timer = setInterval(update, EVERY_MS);
    const unsubscribe = reply.subscribe(() => {
      if (isFinal(reply.get().status)) update();
    });
    return () => {
      clearInterval(timer);
      unsubscribe();
    };
  }, [reply]);
  return (
    <div className="visually-hidden" aria-live="polite">
      {announcements.map(({ id, speech }) => (
        <p key={id}>{speech}</p>
      ))}
    </div>
  );
}

function endOf(status: string): string {
  if (status === "FAILED") return strings.reply.announceFailed;
  if (status === "CANCELLED") return strings.reply.announceStopped;
  return strings.reply.announceEnd;
}
