import { useState } from "react";
import { strings } from "../strings";
import { TextField } from "../ui/TextField";
import { DevelopmentCode } from "./DevelopmentCode";
import { ResendButton } from "./ResendButton";
import { type SentCode, sendCode, verifyCode } from "./signIn";
import { useSubmit } from "../ui/useSubmit";

const CODE_LENGTH = 6;

export function CodeStep({ sent: first, onBack }: { sent: SentCode; onBack: () => void }) {
  const [sent, setSent] = useState(first);
  const [code, setCode] = useState("");
  const { submit, isRunning, failure } = useSubmit(() => verifyCode(sent.phoneNumber, code));
  return (
    <form onSubmit={submit}>
      <h1>{strings.signIn.codeTitle}</h1>
      <p className="quiet">{strings.signIn.codeIntro(sent.phoneNumber)}</p>
      <DevelopmentCode code={sent.otp} onUse={(otp) => verifyCode(sent.phoneNumber, otp)} />
      <TextField
        label={strings.signIn.code}
        error={failure?.text}
        className="code-input"
        inputMode="numeric"
        autoComplete="one-time-code"
        // eslint-disable-next-line jsx-a11y/no-autofocus -- the only field of the page
        autoFocus
        required
        minLength={CODE_LENGTH}
        value={code}
        onChange={setCode}
      />
      <button type="submit" className="button accent wide" disabled={isRunning}>
        {strings.signIn.verify}
      </button>
      <ResendButton resendAt={sent.resendAt} onResend={async () => setSent(await sendCode(sent.phoneNumber))} />
      <button type="button" className="quiet-button wide" onClick={onBack}>
        {strings.signIn.changePhone}
      </button>
    </form>
  );
}
