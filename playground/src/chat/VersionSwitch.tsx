import { useState } from "react";
import { query } from "../api/request";
import { VersionsDocument } from "../generated/operations";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import type { Message } from "./messages";

interface Props {
  message: Message;
  shownId: string;
  /** Null: the message itself. */
  onShow: (version: Message | null) => void;
}

/** Shows the other versions of a reply, which are read when the first one is requested. */
export function VersionSwitch({ message, shownId, onShow }: Props) {
  const [versions, setVersions] = useState<readonly Message[]>([]);
  const ids = message.alternatives.map(({ id }) => id);
  const index = ids.indexOf(shownId);
  if (ids.length < 2) return null;

  async function show(id: string | undefined) {
    if (id === undefined) return;
    if (id === message.id) return onShow(null);
    let known = versions;
    if (known.length === 0) {
      try {
        const { node } = await query(VersionsDocument, { messageId: message.id });
        known = node && "alternatives" in node ? node.alternatives : [];
      } catch {
        return;
      }
      setVersions(known);
    }
    onShow(known.find((one) => one.id === id) ?? null);
  }

  return (
    <span className="versions" role="group" aria-label={strings.reply.versions}>
      <button
        type="button"
        className="icon-button small"
        aria-label={strings.reply.previousVersion}
        disabled={index <= 0}
        onClick={() => void show(ids[index - 1])}
      >
        <Icon name="chevronLeft" />
      </button>
      <span aria-live="polite">{strings.reply.version(index + 1, ids.length)}</span>
      <button
        type="button"
        className="icon-button small"
        aria-label={strings.reply.nextVersion}
        disabled={index >= ids.length - 1}
        onClick={() => void show(ids[index + 1])}
      >
        <Icon name="chevronRight" />
      </button>
    </span>
  );
}
