// Line icons on a grid of 24. They are decoration: the control that contains one has a label.

const PATHS = {
  archive: "M4 5h16v4H4zM6 9v10h12V9m-8 4h4",
  account: "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8Zm-7 8c.6-3.4 3.4-5 7-5s6.4 1.6 7 5",
  arrowUp: "M12 19V5m-6 6 6-6 6 6",
  arrowDown: "M12 5v14m-6-6 6 6 6-6",
  back: "M19 12H5m6-6-6 6 6 6",
  check: "m5 12.5 4.5 4.500L19 7.5",
  chevronLeft: "m14.5 6-6 6 6 6",
  chevronRight: "m9.5 6 6 6-6 6",
  clock: "M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16Zm0-12v4l3 2",
  close: "M6 6l12 12M18 6 6 18",
  code: "m8.5 7-5 5 5 5m7-10 5 5-5 5",
  copy: "M9 9h10v10H9zM5 15V5h10",
  download: "M12 4v11m-5-5 5 5 5-5M5 20h14",
  edit: "M4 20h4L19 9l-4-4L4 16v4Z",
  menu: "M4 7h16M4 12h16M4 17h16",
  more: "M5 12a.5.5 0 1 0 1 0 .5.5 0 1 0-1 0m6.500 0a.5.5 0 1 0 1 0 .5.5 0 1 0-1 0m6.500 0a.5.5 0 1 0 1 0 .5.5 0 1 0-1 0",
  pin: "M9 4h6l-1 6 3 3H7l3-3-1-6Zm3 9v7",
  plus: "M12 5v14M5 12h14",
  refresh: "M20 12a8 8 0 1 1-2.5-5.800M20 4v4.500h-4.5",
  search: "M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14Zm5-2 4.500 4.500",
  share: "M12 15V4m-4 4 4-4 4 4M7 11H5v9h14v-9h-2",
  stop: "M7 7h10v10H7z",
  thumbDown:
    "M7 4v9H4V4h3Zm0 9 4 7c1.700 0 2.500-1 2.200-2.600L12.700 14.500H18a2 2 0 0 0 2-2.400l-1.300-6A2.600 2.600 0 0 0 16.200 4H7",
  thumbUp:
    "M7 20v-9H4v9h3Zm0-9 4-7c1.700 0 2.500 1 2.200 2.600l-.5 2.900H18a2 2 0 0 1 2 2.400l-1.300 6a2.600 2.600 0 0 1-2.500 2.100H7",
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
