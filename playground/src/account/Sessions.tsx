import { useCallback, useEffect, useState } from "react";
import { mutate, query } from "../api/request";
import { EndSessionDocument, SessionsDocument, type SessionsQuery } from "../generated/operations";
import { strings } from "../strings";
import { describeError } from "../ui/describeError";
import { ErrorText } from "../ui/ErrorText";
import { Loading } from "../ui/Loading";
import { relativeTime, useNow } from "../ui/time";
import { describeDevice } from "./device";
import { Section } from "./Section";
import { signOut } from "./signedInLifecycle";

type Session = SessionsQuery["sessions"][number];

export function Sessions() {
  const [sessions, setSessions] = useState<readonly Session[] | null>(null);
  const [error, setError] = useState<string | null>(null);
  const [status, setStatus] = useState("");
  const now = useNow();

  const load = useCallback(async () => {
    try {
      setSessions((await query(SessionsDocument, {})).sessions);
    } catch (failure) {
      setError(describeError(failure));
    }
  }, []);
  useEffect(() => {
    // eslint-disable-next-line react-hooks/set-state-in-effect -- the state is set when the response arrives
    void load();
  }, [load]);

  async function run(action: () => Promise<void>) {
    setError(null);
    setStatus("");
    try {
      await action();
    } catch (failure) {
      setError(describeError(failure));
    }
  }

  const end = (id: string) =>
    run(async () => {
      await mutate(EndSessionDocument, { id });
      setStatus(strings.account.endedSession);
      await load();
    });

  return (
    <Section title={strings.account.sessions} text={strings.account.sessionsText}>
      {!sessions && !error && <Loading label={strings.common.loading} />}
      <ul className="sessions">
        {sessions?.map((session) => {
          const device = describeDevice(session.userAgent) ?? strings.account.unknownDevice;
          return (
            <li key={session.id}>
              <div>
                <p>
                  {device} {session.current && <span className="badge">{strings.account.currentSession}</span>}
                </p>
                <p className="quiet">
                  {strings.account.signedIn(relativeTime(session.createdAt, now))},{" "}
                  {strings.account.lastSeen(relativeTime(session.lastSeenAt, now))}
                </p>
              </div>
              {!session.current && (
                <button
                  type="button"
                  className="button"
                  aria-label={strings.account.endSessionOf(device)}
                  onClick={() => void end(session.id)}
                >
                  {strings.account.endSession}
                </button>
              )}
            </li>
          );
        })}
      </ul>
      <ErrorText>{error}</ErrorText>
      <p className="quiet live-slot" role="status">
        {status}
      </p>
      <div className="actions">
        <button type="button" className="button" onClick={() => void run(() => signOut({ everywhere: false }))}>
          {strings.account.signOut}
        </button>
        <button type="button" className="button" onClick={() => void run(() => signOut({ everywhere: true }))}>
          {strings.account.signOutEverywhere}
        </button>
      </div>
    </Section>
  );
}
