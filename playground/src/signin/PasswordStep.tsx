import { useState } from "react";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { TextField } from "../ui/TextField";
import { type SentCode, sendResetCode, signInWithPassword } from "./signIn";
import { useSubmit } from "../ui/useSubmit";

interface Props {
  phone: string;
  onPhone: (phone: string) => void;
  onCode: () => void;
  onReset: (sent: SentCode) => void;
}

export function PasswordStep({ phone, onPhone, onCode, onReset }: Props) {
  const [password, setPassword] = useState("");
  const { submit, isRunning, failure } = useSubmit(() => signInWithPassword(phone, password));
  const reset = useSubmit(async () => onReset(await sendResetCode(phone)));
  return (
    <form onSubmit={submit}>
      <h1>{strings.signIn.title}</h1>
      <TextField
        label={strings.signIn.phone}
        hint={strings.signIn.phoneHint}
        error={failure?.field === "phoneNumber" ? failure.text : reset.failure?.text}
        type="tel"
        autoComplete="username"
        // eslint-disable-next-line jsx-a11y/no-autofocus -- the first field of the page
        autoFocus
        required
        value={phone}
        onChange={onPhone}
      />
      <TextField
        label={strings.signIn.password}
        type="password"
        autoComplete="current-password"
        required
        value={password}
        onChange={setPassword}
      />
      <ErrorText>{failure && failure.field !== "phoneNumber" ? failure.text : null}</ErrorText>
      <button type="submit" className="button accent wide" disabled={isRunning}>
        {strings.signIn.verify}
      </button>
      <button type="button" className="quiet-button wide" disabled={reset.isRunning} onClick={() => reset.submit()}>
        {strings.signIn.forgotPassword}
      </button>
      <button type="button" className="quiet-button wide" onClick={onCode}>
        {strings.signIn.withCode}
      </button>
    </form>
  );
}
