// A button that opens a menu of actions, by the platform's popover: it is above everything, and Escape or a click elsewhere
// closes it. Arrow keys move through the menu, as a screen reader announces.
import { type KeyboardEvent, useId, useRef, useState } from "react";
import { flushSync } from "react-dom";
import { Icon, type IconName } from "./Icon";

export interface MenuItem {
  label: string;
  icon: IconName;
  isDanger?: true;
  onSelect: () => void;
}

const GAP_PX = 4;

export function Menu({ label, items }: { label: string; items: readonly MenuItem[] }) {
  const id = useId();
  const button = useRef<HTMLButtonElement>(null);
  const menu = useRef<HTMLDivElement>(null);
  const [isOpen, setIsOpen] = useState(false);

  function prepare(opens: boolean) {
    // While the menu closes, its items stay: the browser moves the focus from them back to the button.
    if (!opens || !button.current || !menu.current) return;
    flushSync(() => setIsOpen(true));
    // React's own property would move the focus before the menu is shown.
    itemsOf(menu.current)[0]?.setAttribute("autofocus", "");
    const { top, bottom, right } = button.current.getBoundingClientRect();
    const isUpperHalf = top < innerHeight / 2;
    const { style } = menu.current;
    style.right = `${document.documentElement.clientWidth - right}px`;
    style.top = isUpperHalf ? `${bottom + GAP_PX}px` : "auto";
    style.bottom = isUpperHalf ? "auto" : `${innerHeight - top + GAP_PX}px`;
  }

  function select({ onSelect }: MenuItem) {
    menu.current?.hidePopover();
    // A dialog that the action opens gives the focus back to this button.
    button.current?.focus();
    onSelect();
  }

  return (
    <>
      <button
        type="button"
        ref={button}
        className="icon-button small"
        popoverTarget={id}
        aria-label={label}
        aria-haspopup="menu"
        aria-expanded={isOpen}
        data-open={isOpen || undefined}
      >
        <Icon name="more" />
      </button>
      <div
        ref={menu}
        id={id}
        className="menu"
        popover="auto"
        role="menu"
        tabIndex={-1}
        aria-label={label}
        onBeforeToggle={({ newState }) => prepare(newState === "open")}
        onToggle={({ newState }) => newState === "closed" && setIsOpen(false)}
        onKeyDown={moveFocus}
      >
        {isOpen &&
          items.map((item) => (
            <button
              key={item.label}
              type="button"
              role="menuitem"
              tabIndex={-1}
              data-danger={item.isDanger}
              onClick={() => select(item)}
            >
              <Icon name={item.icon} />
              {item.label}
            </button>
          ))}
      </div>
    </>
  );
}

const itemsOf = (menu: HTMLElement | null) => [...(menu?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];

function moveFocus(event: KeyboardEvent<HTMLElement>) {
  const items = itemsOf(event.currentTarget);
  const index = items.findIndex((item) => item === document.activeElement);
  const target = { ArrowDown: index + 1, ArrowUp: index - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Tab") event.currentTarget.hidePopover();
  if (target === undefined) return;
  event.preventDefault();
  items.at(target % items.length)?.focus();
}
