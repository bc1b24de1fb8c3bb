import { useState } from "react";
import type { SignedOutReason } from "../api/tokens";
import { paths } from "../routes";
import { strings } from "../strings";
import { Logo } from "../ui/Icon";
import { CodeStep } from "./CodeStep";
import { PasswordStep } from "./PasswordStep";
import { PhoneStep } from "./PhoneStep";
import { ResetPasswordStep } from "./ResetPasswordStep";
import type { SentCode } from "./signIn";

type Step =
  { name: "phone" } | { name: "code"; sent: SentCode } | { name: "password" } | { name: "reset-password"; sent: SentCode };

const REASONS: Partial<Record<SignedOutReason, string>> = {
  "session-ended": strings.signIn.sessionEnded,
  "account-deleted": strings.signIn.accountDeleted,
};

export function SignInView({ reason }: { reason: SignedOutReason }) {
  const [step, setStep] = useState<Step>({ name: "phone" });
  // Kept while the user switches between the steps.
  const [phone, setPhone] = useState("");
  const note = REASONS[reason];
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Logo />
        {note && (
          <p className="note" role="status">
            {note}
          </p>
        )}
        {step.name === "phone" && (
          <PhoneStep
            phone={phone}
            onPhone={setPhone}
            onSent={(sent) => setStep({ name: "code", sent })}
            onPassword={() => setStep({ name: "password" })}
          />
        )}
        {step.name === "code" && <CodeStep sent={step.sent} onBack={() => setStep({ name: "phone" })} />}
        {step.name === "password" && (
          <PasswordStep
            phone={phone}
            onPhone={setPhone}
            onCode={() => setStep({ name: "phone" })}
            onReset={(sent) => setStep({ name: "reset-password", sent })}
          />
        )}
        {step.name === "reset-password" && (
          <ResetPasswordStep sent={step.sent} onBack={() => setStep({ name: "password" })} />
        )}
      </div>
      <a className="quiet" href={paths.graphiql}>
        {strings.signIn.graphiql}
      </a>
    </main>
  );
}
