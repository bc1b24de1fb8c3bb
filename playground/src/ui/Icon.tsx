// Line icons on a grid of 24. They are decoration: the control that contains one has a label.

const PATHS = {
  account: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7 8c.6-3.4 3.4-5 7-5s6.4 1.6 7 5",
  arrowUp: "M12 19V5m-6 6 6-6 6 6",
  arrowDown: "M12 5v14m-6-6 6 6 6-6",
  back: "M19 12H5m6-6-6 6 6 6",
  check: "m5 12.5 4.5 4.500L19 7.5",
  chevronLeft: "m14.5 6-6 6 6 6",
  chevronRight: "m9.5 6 6 6-6 6",
  close: "M6 6l12 12M18 6 6 18",
  code: "m8.5 7-5 5 5 5m7-10 5 5-5 5",
  copy: "M9 9h10v10H9zM5 15V5h10",
  edit: "M4 20h4L19 9l-4-4L4 16v4Z",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M6 12h.01M12 12h.01M18 12h.01",
  plus: "M12 5v14M5 12h14",
  refresh: "M20 12a8 8 0 1 1-2.5-5.800M20 4v4.500h-4.5",
  stop: "M7 7h10v10H7z",
  trash: "M5 7h14M10 7V4h4v3m-7 0 1 13h8l1-13",
  warning: "M12 4 2.8 20h18.400L12 4Zm0 6v4.500m0 2.700v.1",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} data-filled={name === "stop" || undefined} />
    </svg>
  );
}

/** The mark of the project: two stars. */
export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true" focusable="false">
      <path d="M12 3c.8 6.2 2.8 8.2 9 9-6.2.8-8.2 2.8-9 9-.8-6.2-2.8-8.2-9-9 6.2-.8 8.2-2.8 9-9Z" />
      <path d="M23 17c.5 4.1 1.9 5.5 6 6-4.1.5-5.5 1.9-6 6-.5-4.1-1.9-5.5-6-6 4.1-.5 5.5-1.9 6-6Z" />
    </svg>
  );
}
