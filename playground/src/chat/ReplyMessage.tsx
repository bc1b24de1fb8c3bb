import { memo, useRef, useState } from "react";
import { newKey } from "../api/idempotencyKey";
import type { Feedback } from "../generated/operations";
import { Markdown } from "../markdown/Markdown";
import { isFinal, type ReplyState } from "../replies/reducer";
import { strings } from "../strings";
import { CopyButton } from "../ui/CopyButton";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { Icon } from "../ui/Icon";
import { useStore } from "../ui/store";
import { Announcements } from "./Announcements";
import { FeedbackButtons } from "./FeedbackButtons";
import { type Message, messageElementId } from "./messages";
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
  const [error, setError] = useState<string | null>(null);
  const [isRequesting, setIsRequesting] = useState(false);

  // Of the next version: after a lost response, it is requested again with the same key.
  const key = useRef(newKey());
  const { text, status, failure } = live;
  const isRunning = !isFinal(status);

  async function request(action: () => Promise<void>) {
    if (isRequesting) return;
    setIsRequesting(true);
    setError(null);
    try {
      await action();
    } catch (problem) {
      setError(describeError(problem));
    }
    setIsRequesting(false);
  }

  const regenerate = () =>
    request(async () => {
      await room.regenerateReply(message.id, key.current);
      key.current = newKey();
    });
  const rate = (feedback: Feedback | null) => request(() => room.rateReply(message.id, feedback));

  return (
    <>
      <article className="message reply" id={messageElementId(message.id)} tabIndex={-1} aria-busy={isRunning}>
        <h2 className="visually-hidden">{strings.chat.reply}</h2>
        {text === "" && isRunning ? (
          <Waiting message={message} state={live} />
        ) : (
          <Markdown text={text} isStreaming={isRunning} />
        )}
        {status === "CANCELLED" && <p className="quiet message-state">{strings.reply.stopped}</p>}
        {status === "FAILED" && failure && <ErrorText>{strings.reply.failures[failure.code]}</ErrorText>}
        <ErrorText>{error}</ErrorText>
        {!isRunning && (
          <div className="message-actions">
            <VersionSwitch room={room} message={message} />
            {text !== "" && <CopyButton text={() => text} />}
            {text !== "" && <FeedbackButtons feedback={message.feedback} onChange={(feedback) => void rate(feedback)} />}
            {canRegenerate && failure?.retryable !== false && (
              <button type="button" className="quiet-button" disabled={isRequesting} onClick={() => void regenerate()}>
                <Icon name="refresh" />
                {status === "FAILED" ? strings.reply.retry : strings.reply.regenerate}
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
