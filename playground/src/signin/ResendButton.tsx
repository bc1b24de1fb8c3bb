import { useEffect, useState } from "react";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { useSubmit } from "../ui/useSubmit";

const secondsUntil = (time: string) => Math.max(0, Math.ceil((Date.parse(time) - Date.now()) / 1000));

/** Requests another code, once the server allows it. */
export function ResendButton({ resendAt, onResend }: { resendAt: string; onResend: () => Promise<void> }) {
  const [seconds, setSeconds] = useState(() => secondsUntil(resendAt));
  useEffect(() => {
    const timer = setInterval(() => setSeconds(secondsUntil(resendAt)), 1000);
    return () => clearInterval(timer);
  }, [resendAt]);
  const { submit, isRunning, failure } = useSubmit(onResend);
  return (
    <>
      <button type="button" className="quiet-button wide" disabled={isRunning || seconds > 0} onClick={() => submit()}>
        {seconds > 0 ? strings.signIn.resendIn(seconds) : strings.signIn.resend}
      </button>
      <ErrorText>{failure?.text ?? null}</ErrorText>
    </>
  );
}
