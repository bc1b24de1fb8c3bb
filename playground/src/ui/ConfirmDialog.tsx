import { useState } from "react";
import { strings } from "../strings";
import { describeError } from "./describeError";
import { Dialog } from "./Dialog";
import { ErrorText } from "./ErrorText";

interface Props {
  title: string;
  text: string;
  confirmLabel: string;
  /** The dialog stays open with the error if it rejects. */
  onConfirm: () => Promise<void>;
  onClose: () => void;
}

/** Asks before something that cannot be undone. */
export function ConfirmDialog({ title, text, confirmLabel, onConfirm, onClose }: Props) {
  const [isRunning, setIsRunning] = useState(false);
  const [error, setError] = useState<string | null>(null);
  async function confirm() {
    setIsRunning(true);
    setError(null);
    try {
      await onConfirm();
      onClose();
    } catch (failure) {
      setError(describeError(failure));
      setIsRunning(false);
    }
  }
  return (
    <Dialog title={title} onClose={onClose}>
      <p>{text}</p>
      <ErrorText>{error}</ErrorText>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>
          {strings.common.cancel}
        </button>
        <button type="button" className="button danger" disabled={isRunning} onClick={() => void confirm()}>
          {confirmLabel}
        </button>
      </div>
    </Dialog>
  );
}
