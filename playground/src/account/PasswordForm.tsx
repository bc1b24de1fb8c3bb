import { useState } from "react";
import { mutate } from "../api/request";
import { ChangePasswordDocument, type ProfileFragment } from "../generated/operations";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { TextField } from "../ui/TextField";
import { useSubmit } from "../ui/useSubmit";
import { Section } from "./Section";

interface Props {
  user: ProfileFragment;
  onChange: (user: ProfileFragment) => void;
}

export function PasswordForm({ user, onChange }: Props) {
  const [current, setCurrent] = useState("");
  const [next, setNext] = useState("");
  const [isChanged, setIsChanged] = useState(false);
  const { submit, isRunning, failure } = useSubmit(async () => {
    setIsChanged(false);
    const currentPassword = user.hasPassword ? current : null;
    const { changePassword } = await mutate(ChangePasswordDocument, { currentPassword, newPassword: next });
    onChange(changePassword.user);
    setCurrent("");
    setNext("");
    setIsChanged(true);
  });
  const errorOf = (field: string) => (failure?.field === field ? failure.text : null);
  const isOther = failure && !errorOf("currentPassword") && !errorOf("newPassword");
  return (
    <Section title={strings.account.password} text={strings.account.passwordText}>
      <form onSubmit={submit}>
        <input type="text" hidden readOnly autoComplete="username" value={user.phoneNumber} />
        {user.hasPassword && (
          <TextField
            label={strings.account.currentPassword}
            type="password"
            autoComplete="current-password"
            required
            error={errorOf("currentPassword")}
            value={current}
            onChange={setCurrent}
          />
        )}
        <TextField
          label={strings.account.newPassword}
          hint={strings.signIn.newPasswordHint}
          type="password"
          autoComplete="new-password"
          required
          error={errorOf("newPassword")}
          value={next}
          onChange={setNext}
        />
        <ErrorText>{isOther ? failure.text : null}</ErrorText>
        <div className="actions">
          <button type="submit" className="button" disabled={isRunning}>
            {user.hasPassword ? strings.account.changePassword : strings.account.setPassword}
          </button>
          <p className="quiet live-slot" role="status">
            {isChanged && strings.account.passwordChanged}
          </p>
        </div>
      </form>
    </Section>
  );
}
