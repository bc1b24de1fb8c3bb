import { type ComponentProps, useId } from "react";

interface Props extends Omit<ComponentProps<"input">, "id" | "onChange"> {
  label: string;
  hint?: string;
  error?: string | null;
  onChange: (value: string) => void;
}

/** A labelled input whose hint and error are read with it. */
export function TextField({ label, hint, error = null, onChange, ...input }: Props) {
  const id = useId();
  const describedBy = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  return (
    <div className="field">
      <label htmlFor={id}>{label}</label>
      <input
        {...input}
        id={id}
        aria-invalid={error !== null || undefined}
        aria-describedby={describedBy === "" ? undefined : describedBy}
        onChange={(event) => onChange(event.target.value)}
      />
      {hint && (
        <p className="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {error && (
        <p className="field-error" id={`${id}-error`} role="alert">
          {error}
        </p>
      )}
    </div>
  );
}
