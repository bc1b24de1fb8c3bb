import { useEffect, useState } from "react";
import { queryAnonymously } from "../api/request";
import { ApiError, toApiError } from "../api/errors";
import { SharedChatroomDocument, type SharedChatroomQuery } from "../generated/operations";
import { Markdown } from "../markdown/Markdown";
import { paths } from "../routes";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { Logo } from "../ui/Icon";
import { Loading } from "../ui/Loading";
import { MessagePage } from "../ui/MessagePage";
import { formatDate } from "../ui/time";

type Shared = NonNullable<SharedChatroomQuery["sharedChatroom"]>;
type SharedMessage = Shared["messages"]["nodes"][number];

/** A chatroom that was shared by link, for anyone who has the link. */
export default function SharedView({ token }: { token: string }) {
  const [shared, setShared] = useState<Shared | null>(null);
  const [messages, setMessages] = useState<readonly SharedMessage[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const [after, setAfter] = useState<string | null>(null);
  const [attempt, setAttempt] = useState(0);

  useEffect(() => {
    let isOver = false;
    queryAnonymously(SharedChatroomDocument, { token, after }).then(
      ({ sharedChatroom }) => {
        if (isOver) return;
        // Revoked since the page before: nothing of it stays.
        if (!sharedChatroom) return setError(new ApiError("NOT_FOUND", ""));
        setShared(sharedChatroom);
        setMessages((before) => [...(after === null ? [] : before), ...sharedChatroom.messages.nodes]);
      },
      (failure: unknown) => !isOver && setError(toApiError(failure)),
    );
    return () => {
      isOver = true;
    };
  }, [token, after, attempt]);

  useEffect(() => {
    document.title = `${shared?.title ?? strings.share.pageTitle} - ${strings.product}`;
  }, [shared]);

  function retry() {
    setError(null);
    setAttempt((number) => number + 1);
  }

  if (error) {
    const isGone = error.code === "NOT_FOUND";
    return (
      <div className="view">
        <MessagePage
          title={isGone ? strings.share.goneTitle : strings.share.failed}
          text={isGone ? strings.share.goneText : describeError(error)}
        >
          {!isGone && (
            <button type="button" className="button accent" onClick={retry}>
              {strings.common.retry}
            </button>
          )}
        </MessagePage>
      </div>
    );
  }
  if (!shared) return <Loading label={strings.share.loading} />;
  const { pageInfo } = shared.messages;
  return (
    <div className="view shared">
      <header className="header">
        <Logo />
        <div className="header-title">
          <h1>{shared.title}</h1>
          <p className="quiet">{strings.share.sharedOn(formatDate(shared.createdAt))}</p>
        </div>
        <a className="button" href={paths.newChat}>
          {strings.share.open}
        </a>
      </header>
      {/* eslint-disable-next-line jsx-a11y/no-noninteractive-tabindex -- a scrollable region must be focusable */}
      <main className="messages-scroll" tabIndex={0}>
        <div className="messages">
          {messages.length === 0 && <p className="quiet">{strings.share.empty}</p>}
          {messages.map((message, index) => (
            <SharedMessageView key={index} message={message} />
          ))}
          {pageInfo.hasNextPage && (
            <button type="button" className="quiet-button load-more" onClick={() => setAfter(pageInfo.endCursor)}>
              {strings.sidebar.loadMore}
            </button>
          )}
        </div>
      </main>
    </div>
  );
}

function SharedMessageView({ message: { role, content } }: { message: SharedMessage }) {
  const isOwn = role === "USER";
  return (
    <article className={isOwn ? "message own" : "message reply"}>
      <h2 className="visually-hidden">{isOwn ? strings.share.author : strings.chat.reply}</h2>
      {isOwn ? (
        <div className="bubble">
          <Markdown text={content} breaks />
        </div>
      ) : (
        <Markdown text={content} />
      )}
    </article>
  );
}
