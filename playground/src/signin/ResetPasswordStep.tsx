import { useState } from "react";
import { strings } from "../strings";
import { TextField } from "../ui/TextField";
import { ErrorText } from "../ui/ErrorText";
import { ResendButton } from "./ResendButton";
import { resetPassword, type SentCode, sendResetCode } from "./signIn";
import { useSubmit } from "../ui/useSubmit";

export function ResetPasswordStep({ sent: first, onBack }: { sent: SentCode; onBack: () => void }) {
  const [sent, setSent] = useState(first);
  const [code, setCode] = useState(first.otp ?? "");
  const [password, setPassword] = useState("");
  const { submit, isRunning, failure } = useSubmit(() => resetPassword(sent.phoneNumber, code, password));
  const isPasswordError = failure?.field === "newPassword";
  return (
    <form onSubmit={submit}>
      <h1>{strings.signIn.resetTitle}</h1>
      <p className="quiet">{strings.signIn.resetIntro}</p>
      <TextField
        label={strings.signIn.code}
        className="code-input"
        inputMode="numeric"
        autoComplete="one-time-code"
        required
        value={code}
        onChange={setCode}
      />
      <TextField
        label={strings.signIn.newPassword}
        hint={strings.signIn.newPasswordHint}
        error={isPasswordError ? failure.text : null}
        type="password"
        autoComplete="new-password"
        required
        value={password}
        onChange={setPassword}
      />
      <ErrorText>{failure && !isPasswordError ? failure.text : null}</ErrorText>
      <button type="submit" className="button accent wide" disabled={isRunning}>
        {strings.signIn.reset}
      </button>
      <ResendButton resendAt={sent.resendAt} onResend={async () => setSent(await sendResetCode(sent.phoneNumber))} />
      <button type="button" className="quiet-button wide" onClick={onBack}>
        {strings.signIn.withPassword}
      </button>
    </form>
  );
}
