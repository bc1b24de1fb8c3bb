import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { newKey } from "../api/idempotencyKey";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { useSubmit } from "../ui/useSubmit";
import { isSendKey, lengthOf, MAX_LENGTH } from "./messageText";

interface Props {
  content: string;
  /** The form stays open with the error if it rejects. */
  onSubmit: (content: string, idempotencyKey: string) => Promise<void>;
  onClose: () => void;
}

/** A message of the user, to be sent again with another text. */
export function EditForm({ content, onSubmit, onClose }: Props) {
  const [text, setText] = useState(content);
  // After a lost response, the same text is sent with the same key, so that it is stored once.
  const request = useRef({ text: "", key: "" });
  const field = useRef<HTMLTextAreaElement>(null);
  const length = lengthOf(text);
  const canSend = text.trim() !== "" && text !== content && length <= MAX_LENGTH;

  const { submit, isRunning, failure } = useSubmit(async () => {
    if (!canSend) return;
    if (request.current.text !== text) request.current = { text, key: newKey() };
    await onSubmit(text, request.current.key);
    onClose();
  });

  useEffect(() => {
    field.current?.focus();
    field.current?.setSelectionRange(content.length, content.length);
    field.current?.form?.scrollIntoView({ block: "nearest" });
  }, [content]);

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Escape") return onClose();
    if (isSendKey(event)) submit(event);
  }

  return (
    <form className="composer edit-form" onSubmit={submit}>
      <textarea
        ref={field}
        rows={1}
        aria-label={strings.chat.editLabel}
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <ErrorText>{failure?.text ?? (length > MAX_LENGTH ? strings.chat.tooLong(length, MAX_LENGTH) : null)}</ErrorText>
      <div className="edit-actions">
        <button type="button" className="button" onClick={onClose}>
          {strings.common.cancel}
        </button>
        <button type="submit" className="button accent" disabled={isRunning || !canSend}>
          {strings.chat.send}
        </button>
      </div>
    </form>
  );
}
