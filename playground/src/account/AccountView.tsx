import { useEffect, useState } from "react";
import { query } from "../api/request";
import { Plan } from "../billing/Plan";
import { Header } from "../chat/Header";
import { MeDocument, type ProfileFragment } from "../generated/operations";
import { strings } from "../strings";
import { Loading } from "../ui/Loading";
import { Appearance } from "./Appearance";
import { DangerZone } from "./DangerZone";
import { PasswordForm } from "./PasswordForm";
import { ProfileForm } from "./ProfileForm";
import { Sessions } from "./Sessions";
import { YourData } from "./YourData";

export default function AccountView({ onOpenSidebar }: { onOpenSidebar: () => void }) {
  const [user, setUser] = useState<ProfileFragment | null>(null);
  const [attempt, setAttempt] = useState(0);
  const [hasFailed, setHasFailed] = useState(false);

  useEffect(() => {
    let isOver = false;
    query(MeDocument, {}).then(
      ({ me }) => !isOver && setUser(me),
      () => !isOver && setHasFailed(true),
    );
    return () => {
      isOver = true;
    };
  }, [attempt]);

  function retry() {
    setHasFailed(false);
    setAttempt((number) => number + 1);
  }

  return (
    <>
      <Header title={strings.account.title} onOpenSidebar={onOpenSidebar} />
      <main className="account">
        {hasFailed && (
          <div className="empty" role="alert">
            <p>{strings.account.failed}</p>
            <button type="button" className="button" onClick={retry}>
              {strings.common.retry}
            </button>
          </div>
        )}
        {!user && !hasFailed && <Loading label={strings.account.loading} />}
        {user && (
          <>
            <Plan />
            <ProfileForm user={user} onChange={setUser} />
            <Sessions />
            <PasswordForm user={user} onChange={setUser} />
            <Appearance />
            <YourData />
            <DangerZone />
          </>
        )}
      </main>
    </>
  );
}
