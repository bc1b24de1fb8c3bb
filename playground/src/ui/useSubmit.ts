import { type SyntheticEvent, useState } from "react";
import { ApiError } from "../api/errors";
import { describeError } from "./describeError";

export interface Failure {
  /** The input field that the error is about. */
  field: string | undefined;
  text: string;
}

/** Runs the action of a form, once at a time, and keeps its error. */
export function useSubmit(action: () => Promise<void>) {
  const [isRunning, setIsRunning] = useState(false);
  const [failure, setFailure] = useState<Failure | null>(null);
  async function submit(event?: SyntheticEvent) {
    event?.preventDefault();
    if (isRunning) return;
    setIsRunning(true);
    setFailure(null);
    try {
      await action();
    } catch (error) {
      setFailure({ field: error instanceof ApiError ? error.details.field : undefined, text: describeError(error) });
    }
    setIsRunning(false);
  }
  return { submit: (event?: SyntheticEvent) => void submit(event), isRunning, failure };
}
