import { strings } from "../strings";
import { ErrorText } from "../ui/ErrorText";
import { useSubmit } from "../ui/useSubmit";

/** A code that the server returned in its response, offered to click. Only servers for development do. */
export function DevelopmentCode({ code, onUse }: { code: string | null; onUse: (code: string) => Promise<void> }) {
  const { submit, isRunning, failure } = useSubmit(async () => {
    if (code !== null) await onUse(code);
  });
  if (code === null) return null;
  return (
    <div className="note development-code">
      <p>{strings.signIn.developmentCode}</p>
      <button type="button" className="button" disabled={isRunning} onClick={() => submit()}>
        {strings.signIn.useCode(code)}
      </button>
      <ErrorText>{failure?.text ?? null}</ErrorText>
    </div>
  );
}
