import { useState } from "react";
import { mutate } from "../api/request";
import { clearTokens } from "../api/tokens";
import { forgetDrafts } from "../chat/drafts";
import { DeleteAccountDocument } from "../generated/operations";
import { forgetAllReplies } from "../replies/savedReply";
import { strings } from "../strings";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Section } from "./Section";

export function DangerZone() {
  const [isAsking, setIsAsking] = useState(false);
  async function deleteAccount() {
    await mutate(DeleteAccountDocument, {});
    forgetDrafts();
    forgetAllReplies();
    clearTokens("account-deleted");
  }
  return (
    <Section title={strings.account.delete} text={strings.account.deleteText}>
      <div className="actions">
        <button type="button" className="button danger" onClick={() => setIsAsking(true)}>
          {strings.account.delete}
        </button>
      </div>
      {isAsking && (
        <ConfirmDialog
          title={strings.account.deleteTitle}
          text={strings.account.deleteText}
          confirmLabel={strings.account.deleteConfirm}
          onConfirm={deleteAccount}
          onClose={() => setIsAsking(false)}
        />
      )}
    </Section>
  );
}
