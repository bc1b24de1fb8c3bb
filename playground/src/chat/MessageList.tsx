import { useEffect, useRef } from "react";
import { outboxStore } from "../outbox/outbox";
import { isFinal } from "../replies/reducer";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import { Loading } from "../ui/Loading";
import { useStore } from "../ui/store";
import { undelivered } from "./messages";
import { PendingMessage } from "./PendingMessage";
import { ReplyMessage } from "./ReplyMessage";
import type { Room, RoomState } from "./room";
import type { useFollowEnd } from "./useFollowEnd";
import { UserMessage } from "./UserMessage";

const OLDER_MARGIN = "800px";

interface Props {
  room: Room;
  state: RoomState;
  end: ReturnType<typeof useFollowEnd>;
}

export function MessageList({ room, state, end: { scroll, content, isAtEnd, scrollToEnd } }: Props) {
  const { messages, status, olderCursor, isLoadingOlder } = state;
  const outbox = useStore(outboxStore).filter(({ chatroomId }) => chatroomId === room.id);
  const beginning = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!beginning.current) return;
    const observer = new IntersectionObserver(
      ([entry]) => {
        if (!entry?.isIntersecting) return;
        // At offset 0 the browser does not keep the position when messages are added above.
        if (scroll.current?.scrollTop === 0) scroll.current.scrollTop = 1;
        void room.loadOlder();
      },
      { root: scroll.current, rootMargin: OLDER_MARGIN },
    );
    observer.observe(beginning.current);
    return () => observer.disconnect();
  }, [room, scroll, olderCursor]);

  const last = messages.at(-1);
  return (
    <>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrollable region must be focusable */}
      <div className="messages-scroll" ref={scroll} role="region" aria-label={strings.chat.log} tabIndex={0}>
        <div className="messages" ref={content}>
          {status === "loading" && outbox.length === 0 && messages.length === 0 && <MessageSkeletons />}
          {status === "failed" && (
            <div className="empty" role="alert">
              <p>{strings.chat.failed}</p>
              <button type="button" className="button" onClick={() => void room.load()}>
                {strings.common.retry}
              </button>
            </div>
          )}
          {olderCursor !== null && (
            <button type="button" ref={beginning} className="quiet-button load-more" onClick={() => void room.loadOlder()}>
              {isLoadingOlder ? strings.chat.loadingOlder : strings.chat.loadOlder}
            </button>
          )}
          {messages.map((message) =>
            message.role === "USER" ? (
              <UserMessage key={message.id} room={room} message={message} />
            ) : (
              <ReplyMessage
                key={message.id}
                room={room}
                message={message}
                canRegenerate={message === last && isFinal(message.status)}
              />
            ),
          )}
          {undelivered(messages, outbox).map((message) => (
            <PendingMessage key={message.key} message={message} />
          ))}
        </div>
      </div>
      {!isAtEnd && (
        <button type="button" className="to-end" aria-label={strings.chat.toEnd} onClick={scrollToEnd}>
          <Icon name="arrowDown" />
        </button>
      )}
    </>
  );
}

function MessageSkeletons() {
  return (
    <>
      <Loading label={strings.chat.loading} />
      <div className="skeleton message-skeleton own" />
      <div className="skeleton message-skeleton" />
    </>
  );
}
