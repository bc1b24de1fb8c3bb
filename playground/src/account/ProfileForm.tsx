import { useState } from "react";
import { mutate } from "../api/request";
import { type ProfileFragment, UpdateProfileDocument } from "../generated/operations";
import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { TextField } from "../ui/TextField";
import { useSubmit } from "../ui/useSubmit";
import { Section } from "./Section";

interface Props {
  user: ProfileFragment;
  onChange: (user: ProfileFragment) => void;
}

/** An empty field is stored as null. */
const orNull = (value: string) => (value.trim() === "" ? null : value.trim());

export function ProfileForm({ user, onChange }: Props) {
  const [fullName, setFullName] = useState(user.fullName ?? "");
  const [email, setEmail] = useState(user.email ?? "");
  const [isSaved, setIsSaved] = useState(false);
  const { submit, isRunning, failure } = useSubmit(async () => {
    setIsSaved(false);
    const { updateProfile } = await mutate(UpdateProfileDocument, { fullName: orNull(fullName), email: orNull(email) });
    onChange(updateProfile.user);
    setIsSaved(true);
  });
  const errorOf = (field: string) => (failure?.field === field ? failure.text : null);
  const isOther = failure && !errorOf("fullName") && !errorOf("email");
  return (
    <Section title={strings.account.profile}>
      <form onSubmit={submit}>
        <TextField label={strings.account.phone} value={user.phoneNumber} readOnly onChange={() => undefined} />
        <TextField
          label={strings.account.fullName}
          autoComplete="name"
          maxLength={100}
          error={errorOf("fullName")}
          value={fullName}
          onChange={setFullName}
        />
        <TextField
          label={strings.account.email}
          type="email"
          autoComplete="email"
          error={errorOf("email")}
          value={email}
          onChange={setEmail}
        />
        <ErrorText>{isOther ? failure.text : null}</ErrorText>
        <div className="actions">
          <button type="submit" className="button" disabled={isRunning}>
            {strings.account.save}
          </button>
          <p className="quiet live-slot" role="status">
            {isSaved && strings.account.saved}
          </p>
        </div>
      </form>
    </Section>
  );
}
