import { useEffect, useState } from "react";
import { sendMessage } from "../outbox/send";
import { isFinal } from "../replies/reducer";
import { chatroomList } from "../sidebar/chatroomList";
import { ChatroomMenu } from "../sidebar/ChatroomMenu";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { MessagePage } from "../ui/MessagePage";
import { useStore } from "../ui/store";
import { Composer } from "./Composer";
import { Header } from "./Header";
import { ArchivedNote } from "./ArchivedNote";
import { MessageList } from "./MessageList";
import { Room } from "./room";
import { TemporaryNote } from "./TemporaryNote";
import { useFollowEnd } from "./useFollowEnd";
import { useMarkViewed } from "./useMarkViewed";
import { useShowMessage } from "./useShowMessage";

interface Props {
  id: string;
  /** The message to show instead of the newest one. */
  messageId: string | null;
  userId: string;
  onOpenSidebar: () => void;
}

export function ChatView({ id, messageId, userId, onOpenSidebar }: Props) {
  const [room] = useState(() => new Room(id));
  useEffect(() => {
    room.open();
    return () => room.close();
  }, [room]);
  const state = useStore(room.store);
  const listed = useStore(chatroomList).chatrooms.find((chatroom) => chatroom.id === id);
  useMarkViewed(listed);
  const end = useFollowEnd();
  const [error, setError] = useState<string | null>(null);
  useShowMessage(room, messageId);

  if (state.status === "missing") return <MessagePage title={strings.chat.missingTitle} text={strings.chat.missingText} />;

  const last = state.messages.at(-1);
  const running = last?.role === "MODEL" && !isFinal(last.status) ? last : null;

  const title = state.status === "ready" ? state.title : (listed?.title ?? strings.chat.loading);

  function stop() {
    if (!running) return;
    setError(null);
    room.stopReply(running.id).catch((failure: unknown) => setError(describeError(failure)));
  }

  function send(content: string) {
    sendMessage({ chatroomId: id, model: null, isTemporary: false, content, after: last?.id ?? null });
    end.scrollToEnd();
  }

  return (
    <>
      <Header title={title} detail={state.status === "ready" ? state.model : listed?.model} onOpenSidebar={onOpenSidebar}>
        {state.status === "ready" && (
          <ChatroomMenu chatroom={{ id, title, isPinned: state.isPinned, isArchived: state.isArchived }} />
        )}
      </Header>
      <main className="chat">
        <MessageList room={room} state={state} end={end} />
        <div className="composer-area">
          <ErrorText>{error}</ErrorText>
          {state.isTemporary && <TemporaryNote />}
          {state.isArchived && <ArchivedNote id={id} />}
          <Composer chatroomId={id} userId={userId} onSend={send} onStop={running ? stop : null} />
        </div>
      </main>
    </>
  );
}
