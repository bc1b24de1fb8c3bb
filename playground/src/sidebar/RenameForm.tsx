import { type SyntheticEvent, useEffect, useRef, useState } from "react";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { renameChatroom } from "./chatroomList";

const MAX_TITLE = 200;

export function RenameForm({ id, title, onClose }: { id: string; title: string; onClose: () => void }) {
  const [value, setValue] = useState(title);
  const [error, setError] = useState<string | null>(null);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);

  async function submit(event?: SyntheticEvent) {
    event?.preventDefault();
    const trimmed = value.trim();
    if (trimmed === "" || trimmed === title) return onClose();
    try {
      await renameChatroom(id, trimmed);
      onClose();
    } catch (failure) {
      setError(describeError(failure));
    }
  }

  return (
    <form className="rename" onSubmit={(event) => void submit(event)}>
      <input
        ref={input}
        aria-label={strings.sidebar.renameLabel}
        aria-invalid={error !== null || undefined}
        maxLength={MAX_TITLE}
        value={value}
        onChange={(event) => setValue(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Escape") onClose();
        }}
        onBlur={() => void submit()}
      />
      {error && (
        <p className="field-error" role="alert">
          {error}
        </p>
      )}
    </form>
  );
}
