import { memo, useState } from "react";
import { currentRoute, navigate, paths } from "../routes";
import { strings } from "../strings";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Icon } from "../ui/Icon";
import { Link } from "../ui/Link";
import { RelativeTime } from "../ui/time";
import { type Chatroom, deleteChatroom } from "./chatroomList";
import { RenameForm } from "./RenameForm";

interface Props {
  chatroom: Chatroom;
  isCurrent: boolean;
  onOpen: () => void;
}

export const ChatroomItem = memo(function ChatroomItem({ chatroom, isCurrent, onOpen }: Props) {
  const { id, title, updatedAt } = chatroom;
  const [mode, setMode] = useState<"shown" | "renaming" | "deleting">("shown");

  async function remove() {
    await deleteChatroom(id);
    const route = currentRoute();
    if (route.view === "chat" && route.id === id) navigate(paths.newChat, { replace: true });
  }

  if (mode === "renaming") {
    return (
      <li className="chatroom">
        <RenameForm id={id} title={title} onClose={() => setMode("shown")} />
      </li>
    );
  }
  return (
    <li className="chatroom" data-current={isCurrent || undefined}>
      <Link className="chatroom-link" href={paths.chat(id)} aria-current={isCurrent ? "page" : undefined} onClick={onOpen}>
        <span className="chatroom-title">{title}</span>
        <span className="chatroom-time">
          <RelativeTime time={updatedAt} />
        </span>
      </Link>
      <span className="chatroom-actions" role="group" aria-label={strings.sidebar.actions(title)}>
        <button
          type="button"
          className="icon-button small"
          aria-label={strings.sidebar.rename}
          title={strings.sidebar.rename}
          onClick={() => setMode("renaming")}
        >
          <Icon name="edit" />
        </button>
        <button
          type="button"
          className="icon-button small"
          aria-label={strings.sidebar.delete}
          title={strings.sidebar.delete}
          onClick={() => setMode("deleting")}
        >
          <Icon name="trash" />
        </button>
      </span>
      {mode === "deleting" && (
        <ConfirmDialog
          title={strings.sidebar.deleteTitle}
          text={strings.sidebar.deleteText(title)}
          confirmLabel={strings.sidebar.delete}
          onConfirm={remove}
          onClose={() => setMode("shown")}
        />
      )}
    </li>
  );
});
