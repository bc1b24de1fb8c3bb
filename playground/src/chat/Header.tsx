import { type ReactNode, useEffect } from "react";
import { connectionStore } from "../api/connection";
import { strings } from "../strings";
import { Icon } from "../ui/Icon";
import { useStore } from "../ui/store";

interface Props {
  title: string;
  detail?: string;
  /** Controls at the end. */
  children?: ReactNode;
  onOpenSidebar: () => void;
}

export function Header({ title, detail, children, onOpenSidebar }: Props) {
  useEffect(() => {
    document.title = `${title} - ${strings.product}`;
    return () => {
      document.title = strings.product;
    };
  }, [title]);
  return (
    <header className="header">
      <button type="button" className="icon-button open-sidebar" aria-label={strings.sidebar.open} onClick={onOpenSidebar}>
        <Icon name="menu" />
      </button>
      <div className="header-title">
        <h1>{title}</h1>
        {detail && <p className="quiet">{detail}</p>}
      </div>
      <ConnectionIndicator />
      {children}
    </header>
  );
}

function ConnectionIndicator() {
  const connection = useStore(connectionStore);
  const shown = connection === "idle" ? "connecting" : connection;
  return (
    <p className="connection" data-state={shown} role="status">
      <span className="connection-dot" aria-hidden="true" />
      {strings.connection[shown]}
    </p>
  );
}
