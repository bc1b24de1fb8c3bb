import { memo, useState } from "react";
import { paths } from "../routes";
import { strings } from "../strings";
import { Icon, type IconName } from "../ui/Icon";
import { Link } from "../ui/Link";
import { RelativeTime } from "../ui/time";
import type { Chatroom } from "./chatroomList";
import { ChatroomMenu } from "./ChatroomMenu";
import { RenameForm } from "./RenameForm";

interface Props {
  chatroom: Chatroom;
  isCurrent: boolean;
  /** Whether it has a reply that was not shown. */
  isUnread: boolean;
  onOpen: () => void;
}

export const ChatroomItem = memo(function ChatroomItem({ chatroom, isCurrent, isUnread, onOpen }: Props) {
  const { id, title, updatedAt, isTemporary } = chatroom;
  const [isRenaming, setIsRenaming] = useState(false);
  const isPinned = chatroom.pinnedAt !== null;

  if (isRenaming) {
    return (
      <li className="chatroom">
        <RenameForm id={id} title={title} onClose={() => setIsRenaming(false)} />
      </li>
    );
  }
  return (
    <li className="chatroom" data-current={isCurrent || undefined} data-unread={isUnread || undefined}>
      <Link className="chatroom-link" href={paths.chat(id)} aria-current={isCurrent ? "page" : undefined} onClick={onOpen}>
        <span className="chatroom-title">{title}</span>
        <span className="chatroom-time">
          {isPinned && <Mark icon="pin" label={strings.sidebar.pinned} />}
          {isTemporary && <Mark icon="clock" label={strings.chat.temporary} />}
          <RelativeTime time={updatedAt} />
          {isUnread && <span className="visually-hidden">{strings.sidebar.unread}</span>}
        </span>
      </Link>
      <span className="chatroom-actions">
        <ChatroomMenu chatroom={{ id, title, isPinned, isArchived: false }} onRename={() => setIsRenaming(true)} />
      </span>
    </li>
  );
});

function Mark({ icon, label }: { icon: IconName; label: string }) {
  return (
    <>
      <Icon name={icon} />
      <span className="visually-hidden">{label}</span>
    </>
  );
}
