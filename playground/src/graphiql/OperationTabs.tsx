// The open operations. In place of GraphiQL's tabs, which contain buttons that assistive technology cannot reach.
import { CloseIcon, PlusIcon, useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { type KeyboardEvent, useEffect, useRef } from "react";
import { strings } from "../strings";

/** The id that GraphiQL gives to the editors and the response. */
const PANEL = "graphiql-session";

export function OperationTabs() {
  const actions = useGraphiQLActions();
  const { tabs, active } = useGraphiQL(({ tabs, activeTabIndex }) => ({ tabs, active: activeTabIndex }));
  const list = useRef<HTMLDivElement>(null);
  const focus = (index: number) => (list.current?.children[index] as HTMLElement | undefined)?.focus();
  useEffect(() => {
    list.current?.children[active]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }, [active]);

  const closeActive = () => {
    // The tab that becomes the active one.
    focus(active === 0 ? 1 : active - 1);
    actions.closeTab(active);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    const last = tabs.length - 1;
    const previous = active === 0 ? last : active - 1;
    const next = active === last ? 0 : active + 1;
    const target = { ArrowLeft: previous, ArrowRight: next, Home: 0, End: last }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    actions.changeTab(target);
    focus(target);
  };

  return (
    <>
      <div
        className="operation-tabs"
        role="tablist"
        tabIndex={-1}
        aria-label={strings.graphiql.tabs}
        ref={list}
        onKeyDown={onKeyDown}
      >
        {tabs.map(({ id, title }, index) => (
          <button
            key={id}
            type="button"
            role="tab"
            aria-selected={index === active}
            aria-controls={PANEL}
            tabIndex={index === active ? 0 : -1}
            onClick={() => actions.changeTab(index)}
          >
            {title}
          </button>
        ))}
      </div>
      {tabs.length > 1 && (
        <TabButton label={strings.graphiql.closeTab(tabs[active]?.title ?? "")} icon={CloseIcon} onClick={closeActive} />
      )}
      <TabButton label={strings.graphiql.newTab} icon={PlusIcon} onClick={() => actions.addTab()} />
    </>
  );
}

function TabButton({ label, icon: Icon, onClick }: { label: string; icon: typeof PlusIcon; onClick: () => void }) {
  return (
    <button type="button" className="tab-action" aria-label={label} title={label} onClick={onClick}>
      <Icon aria-hidden="true" />
    </button>
  );
}
