import { useEffect, useState } from "react";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";

const COPIED_MS = 2_000;

export function CopyReplyButton({ text }: { text: string }) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <button
      type="button"
      className="quiet-button"
      onClick={() =>
        void navigator.clipboard.writeText(text).then(
          () => setIsCopied(true),
          () => setIsCopied(false),
        )
      }
    >
      <Icon name={isCopied ? "check" : "copy"} />
      <span aria-live="polite">{isCopied ? strings.reply.copied : strings.reply.copy}</span>
    </button>
  );
}
