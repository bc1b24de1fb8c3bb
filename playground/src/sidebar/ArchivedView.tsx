import { useEffect } from "react";
import { Header } from "../chat/Header";
import { paths } from "../routes";
import { strings } from "../strings";
import { Link } from "../ui/Link";
import { Loading } from "../ui/Loading";
import { useStore } from "../ui/store";
import { RelativeTime } from "../ui/time";
import { archivedList, loadChatrooms, loadMoreChatrooms } from "./chatroomList";
import { ChatroomMenu } from "./ChatroomMenu";

/** The archived chatrooms. */
export default function ArchivedView({ onOpenSidebar }: { onOpenSidebar: () => void }) {
  const { chatrooms, status, nextCursor } = useStore(archivedList);
  useEffect(() => void loadChatrooms(true), []);
  return (
    <>
      <Header title={strings.sidebar.archived} onOpenSidebar={onOpenSidebar} />
      <main className="account">
        {status === "failed" && (
          <div className="empty" role="alert">
            <p>{strings.sidebar.failed}</p>
            <button type="button" className="button" onClick={() => void loadChatrooms(true)}>
              {strings.common.retry}
            </button>
          </div>
        )}
        {status === "loading" && chatrooms.length === 0 && <Loading label={strings.sidebar.loading} />}
        {status === "ready" && chatrooms.length === 0 && (
          <div className="empty">
            <p className="quiet">{strings.sidebar.archivedEmpty}</p>
          </div>
        )}
        {chatrooms.length > 0 && (
          <ul className="card archive" aria-label={strings.sidebar.archived}>
            {chatrooms.map(({ id, title, updatedAt, pinnedAt }) => (
              <li key={id}>
                <Link className="chatroom-link" href={paths.chat(id)}>
                  <span className="chatroom-title">{title}</span>
                  <span className="chatroom-time">
                    <RelativeTime time={updatedAt} />
                  </span>
                </Link>
                <ChatroomMenu chatroom={{ id, title, isPinned: pinnedAt !== null, isArchived: true }} />
              </li>
            ))}
          </ul>
        )}
        {nextCursor !== null && (
          <button type="button" className="quiet-button load-more" onClick={() => void loadMoreChatrooms(true)}>
            {strings.sidebar.loadMore}
          </button>
        )}
      </main>
    </>
  );
}
