import { useEffect, useState } from "react";
import { strings } from "../strings";
import { Icon } from "./Icon";

const COPIED_MS = 2_000;

/** Copies a text, and says so for two seconds. Not shown on pages without a clipboard: those that are not local and without TLS. */
export function CopyButton({ text, isSmall = false }: { text: () => string; isSmall?: boolean }) {
  const [isCopied, setIsCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return;
    const timer = setTimeout(() => setIsCopied(false), COPIED_MS);
    return () => clearTimeout(timer);
  }, [isCopied]);
  if (!window.isSecureContext) return null;
  return (
    <button
      type="button"
      className={isSmall ? "quiet-button small" : "quiet-button"}
      onClick={() =>
        void navigator.clipboard.writeText(text()).then(
          () => setIsCopied(true),
          () => setIsCopied(false),
        )
      }
    >
      <Icon name={isCopied ? "check" : "copy"} />
      <span aria-live="polite">{isCopied ? strings.copy.done : strings.copy.action}</span>
    </button>
  );
}
