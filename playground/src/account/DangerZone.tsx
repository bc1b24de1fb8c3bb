import { useState } from "react";
import { mutate } from "../api/request";
import { DeleteAccountDocument } from "../generated/operations";
import { strings } from "../strings";
import { ConfirmDialog } from "../ui/ConfirmDialog";
import { Section } from "./Section";
import { leave } from "./signedInLifecycle";

export function DangerZone() {
  const [isAsking, setIsAsking] = useState(false);
  async function deleteAccount() {
    await mutate(DeleteAccountDocument, {});
    leave("account-deleted");
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
