import { useEffect, useRef } from "react";
import { strings } from "../strings";
import { useStore } from "../ui/store";
import { chatroomList, loadChatrooms, loadMoreChatrooms } from "./chatroomList";
import { ChatroomItem } from "./ChatroomItem";
import { isUnread, viewedStore } from "./unread";

const SKELETON_ROWS = 6;
const MARGIN = "300px";

/** The list of chatrooms. The next page is loaded when its end comes into view. */
export function ChatroomListView({ currentId, onOpen }: { currentId: string | null; onOpen: () => void }) {
  const { chatrooms, status, nextCursor } = useStore(chatroomList);
  const viewed = useStore(viewedStore);
  const scroll = useRef<HTMLDivElement>(null);
  const end = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!end.current) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && void loadMoreChatrooms(), {
      root: scroll.current,
      rootMargin: MARGIN,
    });
    observer.observe(end.current);
    return () => observer.disconnect();
  }, [nextCursor]);

  return (
    <div className="chatroom-scroll" ref={scroll}>
      {(status === "loading" || status === "unread") && chatrooms.length === 0 && (
        <div role="status">
          <span className="visually-hidden">{strings.sidebar.loading}</span>
          {Array.from({ length: SKELETON_ROWS }, (_, index) => (
            <div key={index} className="skeleton chatroom-skeleton" />
          ))}
        </div>
      )}
      {status === "failed" && (
        <div className="sidebar-note" role="alert">
          <p>{strings.sidebar.failed}</p>
          <button type="button" className="button" onClick={() => void loadChatrooms()}>
            {strings.common.retry}
          </button>
        </div>
      )}
      {status === "ready" && chatrooms.length === 0 && <p className="sidebar-note">{strings.sidebar.empty}</p>}
      {chatrooms.length > 0 && (
        <ul className="chatroom-list">
          {chatrooms.map((chatroom) => (
            <ChatroomItem
              key={chatroom.id}
              chatroom={chatroom}
              isCurrent={chatroom.id === currentId}
              isUnread={isUnread(chatroom, viewed)}
              onOpen={onOpen}
            />
          ))}
        </ul>
      )}
      {nextCursor !== null && (
        <button type="button" ref={end} className="quiet-button load-more" onClick={() => void loadMoreChatrooms()}>
          {strings.sidebar.loadMore}
        </button>
      )}
    </div>
  );
}
