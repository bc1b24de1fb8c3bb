import { useEffect, useRef, useState } from "react";
import { newKey } from "../api/idempotencyKey";
import { serverUrl } from "../api/endpoint";
import { mutate, query } from "../api/request";
import { serverNow } from "../api/serverClock";
import {
  RevokeShareDocument,
  ShareChatroomDocument,
  type SharePartsFragment,
  SharesDocument,
} from "../generated/operations";
import { strings } from "../strings";
import { CopyButton } from "../ui/CopyButton";
import { describeError } from "../ui/describeError";
import { Dialog } from "../ui/Dialog";
import { ErrorText } from "../ui/ErrorText";
import { Loading } from "../ui/Loading";
import { formatDate, relativeTime, useNow } from "../ui/time";
import { useSubmit } from "../ui/useSubmit";

const DAY_MS = 86_400_000;
const EXPIRIES = [null, 1, 7, 30] as const;

/** Creates, lists and revokes the links to a chatroom. */
export default function ShareDialog({ chatroomId, onClose }: { chatroomId: string; onClose: () => void }) {
  const [shares, setShares] = useState<readonly SharePartsFragment[] | null>(null);
  const [days, setDays] = useState<number | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [status, setStatus] = useState("");
  const key = useRef(newKey());
  const createButton = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    let isOver = false;
    query(SharesDocument, { chatroomId }).then(
      ({ chatroom }) => !isOver && setShares(chatroom?.shares ?? []),
      (failure: unknown) => !isOver && setError(describeError(failure)),
    );
    return () => {
      isOver = true;
    };
  }, [chatroomId]);

  const { submit, isRunning, failure } = useSubmit(async () => {
    setStatus("");
    const expiresAt = days === null ? null : new Date(serverNow() + days * DAY_MS).toISOString();
    const { shareChatroom } = await mutate(ShareChatroomDocument, { chatroomId, expiresAt, idempotencyKey: key.current });
    key.current = newKey();
    setShares((known) => [...(known ?? []), shareChatroom.share]);
    setStatus(strings.share.created);
  });

  async function revoke(id: string) {
    setError(null);
    setStatus("");
    try {
      await mutate(RevokeShareDocument, { id });
      setShares((known) => known?.filter((share) => share.id !== id) ?? null);
      setStatus(strings.share.revoked);
      createButton.current?.focus();
    } catch (problem) {
      setError(describeError(problem));
    }
  }

  return (
    <Dialog title={strings.share.title} onClose={onClose}>
      <p>{strings.share.text}</p>
      <form className="share-form" onSubmit={submit}>
        <label className="share-expiry">
          {strings.share.expiry}
          <select
            value={days ?? ""}
            onChange={({ target }) => {
              // Another request needs another key.
              key.current = newKey();
              setDays(target.value === "" ? null : Number(target.value));
            }}
          >
            {EXPIRIES.map((option) => (
              <option key={option} value={option ?? ""}>
                {option === null ? strings.share.never : strings.share.days(option)}
              </option>
            ))}
          </select>
        </label>
        <button type="submit" ref={createButton} className="button accent" disabled={isRunning}>
          {strings.share.create}
        </button>
      </form>
      <ErrorText>{failure?.text ?? error}</ErrorText>
      {shares === null && error === null && <Loading label={strings.common.loading} />}
      {shares !== null && shares.length > 0 && (
        <ul className="shares" aria-label={strings.share.links}>
          {shares.map((share) => (
            <Share key={share.id} share={share} onRevoke={() => void revoke(share.id)} />
          ))}
        </ul>
      )}
      <p className="quiet live-slot" role="status">
        {status}
      </p>
      <div className="dialog-actions">
        <button type="button" className="button" onClick={onClose}>
          {strings.common.close}
        </button>
      </div>
    </Dialog>
  );
}

function Share({ share, onRevoke }: { share: SharePartsFragment; onRevoke: () => void }) {
  const now = useNow();
  // Relative if the server does not know the address of its front end.
  const url = serverUrl(share.url);
  const expiry = share.expiresAt === null ? strings.share.doesNotExpire : strings.share.expires(formatDate(share.expiresAt));
  return (
    <li>
      <a className="share-url" href={url} target="_blank" rel="noreferrer">
        {url}
      </a>
      <p className="quiet">
        {strings.share.createdAt(relativeTime(share.createdAt, now))} {expiry}
      </p>
      <div className="actions">
        <CopyButton text={() => url} />
        <button type="button" className="quiet-button" onClick={onRevoke}>
          {strings.share.revoke}
        </button>
      </div>
    </li>
  );
}
