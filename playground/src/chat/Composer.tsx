import { type KeyboardEvent, type ReactNode, type SyntheticEvent, useEffect, useRef, useState } from "react";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import { registerComposer } from "./composerText";
import { readDraft, saveDraft } from "./drafts";
import { isSendKey, lengthOf, MAX_LENGTH } from "./messageText";

const SHOW_LENGTH_FROM = 30_000;

interface Props {
  /** Null: a new chatroom. */
  chatroomId: string | null;
  userId: string;
  onSend: (content: string) => void;
  /** Stops the running reply; null if none runs. */
  onStop: (() => void) | null;
  children?: ReactNode;
}

export function Composer({ chatroomId, userId, onSend, onStop, children }: Props) {
  const [text, setText] = useState(() => readDraft(userId, chatroomId));
  const field = useRef<HTMLTextAreaElement>(null);

  function change(value: string) {
    setText(value);
    saveDraft(userId, chatroomId, value);
  }

  useEffect(
    () =>
      registerComposer((value) => {
        setText(value);
        saveDraft(userId, chatroomId, value);
        field.current?.focus();
      }),
    [userId, chatroomId],
  );

  // On a touch screen, focus would open the keyboard.
  useEffect(() => {
    if (matchMedia("(hover: hover)").matches) field.current?.focus({ preventScroll: true });
  }, []);

  const length = lengthOf(text);
  const canSend = text.trim() !== "" && length <= MAX_LENGTH;

  function submit(event?: SyntheticEvent) {
    event?.preventDefault();
    if (!canSend) return;
    onSend(text);
    change("");
    field.current?.focus();
  }

  function onKeyDown(event: KeyboardEvent) {
    if (isSendKey(event)) submit(event);
  }

  return (
    <form className="composer" onSubmit={submit}>
      <textarea
        ref={field}
        rows={1}
        aria-label={strings.chat.message}
        placeholder={strings.chat.placeholder}
        value={text}
        onChange={(event) => change(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="composer-bar">
        {children}
        <span className="quiet composer-hint" data-error={length > MAX_LENGTH || undefined}>
          {length >= SHOW_LENGTH_FROM ? strings.chat.tooLong(length, MAX_LENGTH) : strings.chat.sendHint}
        </span>
        {onStop && (
          <button type="button" className="button" onClick={onStop}>
            <Icon name="stop" />
            {strings.chat.stop}
          </button>
        )}
        <button type="submit" className="send" disabled={!canSend} aria-label={strings.chat.send} title={strings.chat.send}>
          <Icon name="arrowUp" />
        </button>
      </div>
    </form>
  );
}
