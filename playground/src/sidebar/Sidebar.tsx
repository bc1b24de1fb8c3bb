import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { QuotaMeter } from "../billing/QuotaMeter";
import { paths, useRoute } from "../routes";
import { strings } from "../strings";
import { Icon, Logo } from "../ui/Icon";
import { Link } from "../ui/Link";
import { ChatroomListView } from "./ChatroomListView";
import { SearchField } from "./SearchField";

const SearchResults = lazy(() => import("../search/SearchResults"));

interface Props {
  /** On a narrow screen, the sidebar covers the page while it is open. */
  isOpen: boolean;
  onClose: () => void;
}

export function Sidebar({ isOpen, onClose }: Props) {
  const route = useRoute();
  const [search, setSearch] = useState("");
  const query = search.trim();
  const closeButton = useRef<HTMLButtonElement>(null);
  useEffect(() => {
    if (!isOpen) return;
    closeButton.current?.focus();
    const onKey = ({ key }: KeyboardEvent) => {
      if (key === "Escape") onClose();
    };
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("keydown", onKey);
      document.querySelector<HTMLElement>(".open-sidebar")?.focus();
    };
  }, [isOpen, onClose]);
  return (
    <>
      {isOpen && <button type="button" className="scrim" aria-label={strings.sidebar.close} onClick={onClose} />}
      <nav className="sidebar" aria-label={strings.sidebar.label} data-open={isOpen || undefined}>
        <div className="sidebar-head">
          <span className="brand">
            <Logo />
            {strings.product}
          </span>
          <button
            type="button"
            ref={closeButton}
            className="icon-button sidebar-close"
            aria-label={strings.sidebar.close}
            onClick={onClose}
          >
            <Icon name="close" />
          </button>
        </div>
        <Link
          className="button new-chat"
          href={paths.newChat}
          aria-current={route.view === "new-chat" ? "page" : undefined}
          onClick={onClose}
        >
          <Icon name="plus" />
          {strings.sidebar.newChat}
        </Link>
        <SearchField value={search} onChange={setSearch} />
        {query === "" ? (
          <ChatroomListView currentId={route.view === "chat" ? route.id : null} onOpen={onClose} />
        ) : (
          <Suspense fallback={<div className="chatroom-scroll" />}>
            <SearchResults query={query} onOpen={onClose} />
          </Suspense>
        )}
        <div className="sidebar-foot">
          <QuotaMeter />
          <Link
            className="sidebar-link"
            href={paths.archived}
            aria-current={route.view === "archived" ? "page" : undefined}
            onClick={onClose}
          >
            <Icon name="archive" />
            {strings.sidebar.archived}
          </Link>
          <Link
            className="sidebar-link"
            href={paths.account}
            aria-current={route.view === "account" ? "page" : undefined}
            onClick={onClose}
          >
            <Icon name="account" />
            {strings.sidebar.account}
          </Link>
          <a className="sidebar-link" href={paths.graphiql}>
            <Icon name="code" />
            {strings.sidebar.graphiql}
          </a>
        </div>
      </nav>
    </>
  );
}
