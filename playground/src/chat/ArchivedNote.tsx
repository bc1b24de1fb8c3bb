import { archiveChatroom } from "../sidebar/chatroomList";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import { useSubmit } from "../ui/useSubmit";

export function ArchivedNote({ id }: { id: string }) {
  const { submit, isRunning, failure } = useSubmit(() => archiveChatroom(id, false));
  return (
    <div className="chat-note" role="note">
      <Icon name="archive" />
      <span>{failure?.text ?? strings.chat.archivedNote}</span>
      <button type="button" className="quiet-button" disabled={isRunning} onClick={() => submit()}>
        {strings.sidebar.unarchive}
      </button>
    </div>
  );
}
