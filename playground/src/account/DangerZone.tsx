import { useState } from "react";
import { mutate } from "../api/request";
import { DeleteAccountDocument, DeleteAllChatroomsDocument } from "../generated/operations";
import { loadChatrooms } from "../sidebar/chatroomList";
import { strings } from "../strings";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Section } from "./Section";
import { leave } from "./signedInLifecycle";

/** What cannot be undone. */
export function DangerZone() {
  const [asking, setAsking] = useState<"chats" | "account" | null>(null);
  const [status, setStatus] = useState("");
  const close = () => setAsking(null);

  async function deleteChats() {
    setStatus("");
    const { deleteAllChatrooms } = await mutate(DeleteAllChatroomsDocument, {});
    await loadChatrooms();
    setStatus(strings.account.deletedChats(deleteAllChatrooms.deletedCount));
  }

  async function deleteAccount() {
    await mutate(DeleteAccountDocument, {});
    leave("account-deleted");
  }

  return (
    <Section title={strings.account.dangerZone}>
      <p className="quiet">{strings.account.deleteChatsText}</p>
      <div className="actions">
        <button type="button" className="button danger" onClick={() => setAsking("chats")}>
          {strings.account.deleteChats}
        </button>
        <p className="quiet live-slot" role="status">
          {status}
        </p>
      </div>
      <p className="quiet">{strings.account.deleteText}</p>
      <div className="actions">
        <button type="button" className="button danger" onClick={() => setAsking("account")}>
          {strings.account.delete}
        </button>
      </div>
      {asking === "chats" && (
        <ConfirmDialog
          title={strings.account.deleteChatsTitle}
          text={strings.account.deleteChatsText}
          confirmLabel={strings.account.deleteChats}
          onConfirm={deleteChats}
          onClose={close}
        />
      )}
      {asking === "account" && (
        <ConfirmDialog
          title={strings.account.deleteTitle}
          text={strings.account.deleteText}
          confirmLabel={strings.account.deleteConfirm}
          onConfirm={deleteAccount}
          onClose={close}
        />
      )}
    </Section>
  );
}
