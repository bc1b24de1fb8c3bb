import { useEffect, useId, useRef, useState } from "react";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { Icon } from "../ui/Icon";
import type { Message } from "./messages";
import type { Room } from "./room";

type Direction = "previous" | "next";

/** The version that is about to be shown in place of the one whose button was pressed: it takes over the focus. */
let awaited: { id: string; direction: Direction } | null = null;

/** Switches between the versions of a message. What follows the message changes with it, on all devices. */
export function VersionSwitch({ room, message }: { room: Room; message: Message }) {
  const [isRunning, setIsRunning] = useState(false);
  const [error, setError] = useState<string | null>(null);
  const group = useRef<HTMLSpanElement>(null);
  const positionId = useId();
  const { id } = message;

  useEffect(() => {
    if (awaited?.id !== id) return;
    const { direction } = awaited;
    awaited = null;
    const buttons = [...(group.current?.querySelectorAll("button") ?? [])];
    if (direction === "next") buttons.reverse();
    buttons.find((button) => !button.disabled)?.focus();
  }, [id]);

  const newest = message.alternatives.map((one) => one.id);
  // Only the newest versions are listed: one that is older comes before them.
  const ids = newest.includes(id) ? newest : [id, ...newest];
  const index = ids.indexOf(id);
  if (ids.length < 2) return null;

  async function select(direction: Direction) {
    const target = ids[direction === "next" ? index + 1 : index - 1];
    if (target === undefined) return;
    setIsRunning(true);
    setError(null);
    awaited = { id: target, direction };
    try {
      await room.selectAlternative(target);
    } catch (failure) {
      awaited = null;
      setError(describeError(failure));
    }
    setIsRunning(false);
  }

  const button = (direction: Direction, isLast: boolean) => (
    <button
      type="button"
      className="icon-button small"
      aria-label={direction === "next" ? strings.reply.nextVersion : strings.reply.previousVersion}
      aria-describedby={positionId}
      aria-disabled={isRunning || undefined}
      disabled={isLast}
      onClick={() => !isRunning && void select(direction)}
    >
      <Icon name={direction === "next" ? "chevronRight" : "chevronLeft"} />
    </button>
  );

  return (
    <>
      <span className="versions" role="group" aria-label={strings.reply.versions} ref={group}>
        {button("previous", index === 0)}
        <span id={positionId}>{strings.reply.version(index + 1, ids.length)}</span>
        {button("next", index === ids.length - 1)}
      </span>
      <ErrorText>{error}</ErrorText>
    </>
  );
}
