// The actions on a chatroom: in the list of chatrooms, in the archive and above an open chatroom.
import { lazy, Suspense, useState } from "react";
import { currentRoute, navigate, paths } from "../routes";
import { strings } from "../strings";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { describeError } from "../ui/describeError";
import { Dialog } from "../ui/Dialog";
import { ErrorText } from "../ui/ErrorText";
import { Menu, type MenuItem } from "../ui/Menu";
import { archiveChatroom, deleteChatroom, pinChatroom } from "./chatroomList";
import { exportChatroom } from "./exportChatroom";

const ShareDialog = lazy(() => import("../share/ShareDialog"));

interface Props {
  chatroom: { id: string; title: string; isPinned: boolean; isArchived: boolean };
  /** Without it, the menu does not offer to rename. */
  onRename?: () => void;
}

export function ChatroomMenu({ chatroom, onRename }: Props) {
  const { id, title, isPinned, isArchived } = chatroom;
  const [dialog, setDialog] = useState<"share" | "delete" | null>(null);
  const [error, setError] = useState<string | null>(null);
  const closeDialog = () => setDialog(null);
  const run = (action: Promise<void>) => void action.catch((failure: unknown) => setError(describeError(failure)));

  async function remove() {
    await deleteChatroom(id);
    const route = currentRoute();
    if (route.view === "chat" && route.id === id) navigate(paths.newChat, { replace: true });
  }

  const items: MenuItem[] = [
    {
      label: isPinned ? strings.sidebar.unpin : strings.sidebar.pin,
      icon: "pin",
      onSelect: () => run(pinChatroom(id, !isPinned)),
    },
    {
      label: isArchived ? strings.sidebar.unarchive : strings.sidebar.archive,
      icon: "archive",
      onSelect: () => run(archiveChatroom(id, !isArchived)),
    },
    { label: strings.share.action, icon: "share", onSelect: () => setDialog("share") },
    {
      label: strings.sidebar.exportMarkdown,
      icon: "download",
      onSelect: () => run(exportChatroom(id, title, "MARKDOWN")),
    },
    { label: strings.sidebar.exportJson, icon: "download", onSelect: () => run(exportChatroom(id, title, "JSON")) },
    { label: strings.sidebar.delete, icon: "trash", isDanger: true, onSelect: () => setDialog("delete") },
  ];
  if (onRename) items.unshift({ label: strings.sidebar.rename, icon: "edit", onSelect: onRename });

  return (
    <>
      <Menu label={strings.sidebar.actions(title)} items={items} />
      {dialog === "share" && (
        <Suspense>
          <ShareDialog chatroomId={id} onClose={closeDialog} />
        </Suspense>
      )}
      {dialog === "delete" && (
        <ConfirmDialog
          title={strings.sidebar.deleteTitle}
          text={strings.sidebar.deleteText(title)}
          confirmLabel={strings.sidebar.delete}
          onConfirm={remove}
          onClose={closeDialog}
        />
      )}
      {error !== null && (
        <Dialog title={strings.common.failed} onClose={() => setError(null)}>
          <ErrorText>{error}</ErrorText>
          <div className="dialog-actions">
            <button type="button" className="button" onClick={() => setError(null)}>
              {strings.common.close}
            </button>
          </div>
        </Dialog>
      )}
    </>
  );
}
