import { memo, useState } from "react";
import { Markdown } from "../markdown/Markdown";
import { isFinal, type ReplyState } from "../replies/reducer";
import { strings } from "../strings";
import { CopyButton } from "../ui/CopyButton";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { Icon } from "../ui/Icon";
import { useStore } from "../ui/store";
import { Announcements } from "./Announcements";
import type { Message } from "./messages";
import type { Room } from "./room";
import { useQueuePosition } from "./useQueuePosition";
import { VersionSwitch } from "./VersionSwitch";

interface Props {
  room: Room;
  message: Message;
  /** Whether it is the last message and has ended. */
  canRegenerate: boolean;
}

export const ReplyMessage = memo(function ReplyMessage({ room, message, canRegenerate }: Props) {
  const [followed] = useState(() => room.reply(message));
  const live = useStore(followed);
  const [wasLive] = useState(!isFinal(live.status));
  const [version, setVersion] = useState<Message | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [isRequesting, setIsRequesting] = useState(false);

  const shown = version ?? live;
  const text = version ? version.content : live.text;
  const isRunning = !isFinal(shown.status);
  const isActive = version === null;

  async function regenerate() {
    setIsRequesting(true);
    setError(null);
    try {
      await room.regenerateReply(message.id);
    } catch (failure) {
      setError(describeError(failure));
    }
    setIsRequesting(false);
  }

  return (
    <>
      <article className="message reply" aria-busy={isRunning}>
        <h2 className="visually-hidden">{strings.chat.reply}</h2>
        {text === "" && isRunning ? (
          <Waiting message={message} state={live} />
        ) : (
          <Markdown key={version?.id ?? message.id} text={text} isStreaming={isRunning} />
        )}
        {shown.status === "CANCELLED" && <p className="quiet message-state">{strings.reply.stopped}</p>}
        {shown.status === "FAILED" && shown.failure && <ErrorText>{strings.reply.failures[shown.failure.code]}</ErrorText>}
        <ErrorText>{error}</ErrorText>
        {!isRunning && (
          <div className="message-actions">
            <VersionSwitch message={message} shownId={version?.id ?? message.id} onShow={setVersion} />
            {text !== "" && <CopyButton text={() => text} />}
            {canRegenerate && isActive && shown.failure?.retryable !== false && (
              <button type="button" className="quiet-button" disabled={isRequesting} onClick={() => void regenerate()}>
                <Icon name="refresh" />
                {shown.status === "FAILED" ? strings.reply.retry : strings.reply.regenerate}
              </button>
            )}
          </div>
        )}
      </article>
      {/* Outside of the article: announcements in a busy element are delayed. */}
      {wasLive && <Announcements reply={followed} />}
    </>
  );
});

function Waiting({ message, state }: { message: Message; state: ReplyState }) {
  const position = useQueuePosition(message, state.status);
  const label =
    state.attempt > 1
      ? strings.reply.retrying(state.attempt)
      : position > 0
        ? strings.reply.queued(position)
        : strings.reply.waiting;
  return (
    <p className="waiting">
      <span className="dots" aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {label}
    </p>
  );
}
