// What the fields for a message have in common.
import type { KeyboardEvent } from "react";

export const MAX_LENGTH = 32_000;

/** The length as the server counts it. */
export const lengthOf = (text: string) => Array.from(text).length;

/** Whether a key sends the message. Enter also confirms a word of an input method; and on a touch keyboard it is a new line. */
export function isSendKey(event: KeyboardEvent): boolean {
  const isComposing = event.nativeEvent.isComposing || event.key === "Process";
  return event.key === "Enter" && !event.shiftKey && !isComposing && !matchMedia("(pointer: coarse)").matches;
}
