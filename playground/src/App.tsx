import { lazy, memo, Suspense, useEffect, useState } from "react";
import { startSignedIn } from "./account/signedInLifecycle";
import { sessionStore } from "./api/tokens";
import { ChatView } from "./chat/ChatView";
import { NewChatView } from "./chat/NewChatView";
import { useRoute } from "./routes";
import { Sidebar } from "./sidebar/Sidebar";
import { SignInView } from "./signin/SignInView";
import { strings } from "./strings";
import { Loading } from "./ui/Loading";
import { MessagePage } from "./ui/MessagePage";
import { useStore } from "./ui/store";

const AccountView = lazy(() => import("./account/AccountView"));
const ArchivedView = lazy(() => import("./sidebar/ArchivedView"));
const SharedView = lazy(() => import("./share/SharedView"));
const CheckoutSuccessView = lazy(() => import("./billing/CheckoutSuccessView"));

export function App() {
  const state = useStore(sessionStore);
  const route = useRoute();
  // Anyone may read a shared chatroom, and who is signed in sees the same.
  if (route.view === "shared") {
    return (
      <Suspense fallback={<Loading label={strings.common.loading} />}>
        <SharedView key={route.token} token={route.token} />
      </Suspense>
    );
  }
  if (!state.session) return <SignInView reason={state.reason} />;
  const { userId } = state.session;
  return <SignedIn key={userId} userId={userId} />;
}

const SignedIn = memo(function SignedIn({ userId }: { userId: string }) {
  const [isSidebarOpen, setIsSidebarOpen] = useState(false);
  const [isStarted, setIsStarted] = useState(false);
  useEffect(() => {
    const stop = startSignedIn(userId);
    // eslint-disable-next-line react-hooks/set-state-in-effect -- the views below need the stores that were just opened
    setIsStarted(true);
    return stop;
  }, [userId]);
  if (!isStarted) return null;
  return (
    <div className="app">
      <SkipLink />
      <Sidebar isOpen={isSidebarOpen} onClose={() => setIsSidebarOpen(false)} />
      <div className="view" id="content" inert={isSidebarOpen}>
        <Suspense fallback={<Loading label={strings.common.loading} />}>
          <View userId={userId} onOpenSidebar={() => setIsSidebarOpen(true)} />
        </Suspense>
      </div>
    </div>
  );
});

function SkipLink() {
  return (
    <a
      className="skip-link"
      href="#content"
      onClick={(event) => {
        event.preventDefault();
        const main = document.querySelector("main");
        (main?.querySelector("textarea") ?? main?.querySelector<HTMLElement>("button, a, input"))?.focus();
      }}
    >
      {strings.common.skip}
    </a>
  );
}

function View({ userId, onOpenSidebar }: { userId: string; onOpenSidebar: () => void }) {
  const route = useRoute();
  switch (route.view) {
    case "new-chat":
      return <NewChatView userId={userId} onOpenSidebar={onOpenSidebar} />;
    case "chat":
      return (
        <ChatView key={route.id} id={route.id} messageId={route.messageId} userId={userId} onOpenSidebar={onOpenSidebar} />
      );
    case "account":
      return <AccountView onOpenSidebar={onOpenSidebar} />;
    case "archived":
      return <ArchivedView onOpenSidebar={onOpenSidebar} />;
    case "checkout-success":
      return <CheckoutSuccessView key={route.sessionId} sessionId={route.sessionId} />;
    case "checkout-cancel":
      return <MessagePage title={strings.billing.canceledTitle} text={strings.billing.canceledText} />;
    case "shared":
      return null;
    case "not-found":
      return <MessagePage title={strings.common.notFoundTitle} />;
  }
}
