import { strings } from "../strings";
import { TextField } from "../ui/TextField";
import { type SentCode, sendCode } from "./signIn";
import { useSubmit } from "../ui/useSubmit";

interface Props {
  phone: string;
  onPhone: (phone: string) => void;
  onSent: (sent: SentCode) => void;
  onPassword: () => void;
}

export function PhoneStep({ phone, onPhone, onSent, onPassword }: Props) {
  const { submit, isRunning, failure } = useSubmit(async () => onSent(await sendCode(phone)));
  return (
    <form onSubmit={submit}>
      <h1>{strings.signIn.title}</h1>
      <p className="quiet">{strings.signIn.intro}</p>
      <TextField
        label={strings.signIn.phone}
        hint={strings.signIn.phoneHint}
        error={failure?.text}
        type="tel"
        autoComplete="tel"
        // eslint-disable-next-line jsx-a11y/no-autofocus -- the only field of the page
        autoFocus
        required
        value={phone}
        onChange={onPhone}
      />
      <button type="submit" className="button accent wide" disabled={isRunning}>
        {strings.signIn.sendCode}
      </button>
      <button type="button" className="quiet-button wide" onClick={onPassword}>
        {strings.signIn.withPassword}
      </button>
    </form>
  );
}
