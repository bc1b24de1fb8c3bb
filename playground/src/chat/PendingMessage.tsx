// A message that the server has not confirmed: being sent, waiting for the connection, or rejected.
import { accountStore } from "../account/accountStore";
import { connectionStore } from "../api/connection";
import { ApiError } from "../api/errors";
import { describeQuota } from "../billing/quota";
import { UpgradeButton } from "../billing/UpgradeButton";
import { Markdown } from "../markdown/Markdown";
import type { OutboxMessage } from "../outbox/outbox";
import { discardMessage, retryMessage } from "../outbox/send";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { useStore } from "../ui/store";
import { useNow } from "../ui/time";
import { editInComposer } from "./composerText";

export function PendingMessage({ message }: { message: OutboxMessage }) {
  const connection = useStore(connectionStore);
  const isWaiting = connection === "offline" || connection === "reconnecting";
  return (
    <article className="message own" data-pending>
      <h2 className="visually-hidden">{strings.chat.you}</h2>
      <div className="bubble">
        <Markdown text={message.content} breaks />
      </div>
      {message.rejection ? (
        <Rejection message={message} rejection={message.rejection} />
      ) : (
        <p className="quiet message-state">{isWaiting ? strings.outbox.waiting : strings.outbox.sending}</p>
      )}
    </article>
  );
}

function Rejection({ message, rejection }: { message: OutboxMessage; rejection: NonNullable<OutboxMessage["rejection"]> }) {
  const tier = useStore(accountStore)?.subscription.tier;
  const now = useNow();
  const { code, details } = rejection;
  const isQuota = code === "QUOTA_EXCEEDED";
  const reason =
    (isQuota ? describeQuota(details, now) : null) ?? describeError(new ApiError(code, rejection.message, details));
  return (
    <div className="rejection">
      <ErrorText>{`${strings.outbox.failed} ${reason}`}</ErrorText>
      <div className="message-actions">
        {isQuota && details.upgradeable && tier !== "PRO" && <UpgradeButton label={strings.quota.upgrade} />}
        <button type="button" className="button" onClick={() => retryMessage(message.key)}>
          {strings.outbox.retry}
        </button>
        <button
          type="button"
          className="button"
          onClick={() => {
            editInComposer(message.content);
            discardMessage(message.key);
          }}
        >
          {strings.outbox.edit}
        </button>
        <button type="button" className="button" onClick={() => discardMessage(message.key)}>
          {strings.outbox.discard}
        </button>
      </div>
    </div>
  );
}
