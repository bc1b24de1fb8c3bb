import { memo, useRef, useState } from "react";
import { Markdown } from "../markdown/Markdown";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import { EditForm } from "./EditForm";
import { type Message, messageElementId } from "./messages";
import type { Room } from "./room";
import { VersionSwitch } from "./VersionSwitch";

export const UserMessage = memo(function UserMessage({ room, message }: { room: Room; message: Message }) {
  const { id, content } = message;
  const [isEditing, setIsEditing] = useState(false);
  const editButton = useRef<HTMLButtonElement>(null);

  function close() {
    setIsEditing(false);
    requestAnimationFrame(() => editButton.current?.focus());
  }

  return (
    <article className="message own" id={messageElementId(id)} tabIndex={-1}>
      <h2 className="visually-hidden">{strings.chat.you}</h2>
      {isEditing ? (
        <EditForm content={content} onSubmit={(text, key) => room.editMessage(id, text, key)} onClose={close} />
      ) : (
        <>
          <div className="bubble">
            <Markdown text={content} breaks />
          </div>
          <div className="message-actions">
            <button
              type="button"
              ref={editButton}
              className="icon-button small revealed"
              aria-label={strings.chat.edit}
              title={strings.chat.edit}
              onClick={() => setIsEditing(true)}
            >
              <Icon name="edit" />
            </button>
            <VersionSwitch room={room} message={message} />
          </div>
        </>
      )}
    </article>
  );
});
