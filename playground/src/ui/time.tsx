// Dates and times in the reader's time zone.
import { LOCALE, strings } from "../strings";
import { createStore, useStore } from "./store";

const relative = new Intl.RelativeTimeFormat(LOCALE, { numeric: "auto", style: "short" });
const absolute = new Intl.DateTimeFormat(LOCALE, { dateStyle: "medium", timeStyle: "short" });
const date = new Intl.DateTimeFormat(LOCALE, { dateStyle: "long" });

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [
  ["year", 31_536_000],
  ["month", 2_592_000],
  ["week", 604_800],
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

export function relativeTime(time: string, now: number): string {
  const seconds = (Date.parse(time) - now) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return relative.format(Math.trunc(seconds / length), unit);
  }
  return strings.common.justNow;
}

export const formatDate = (time: string) => date.format(new Date(time));

const TICK_MS = 30_000;
const clock = createStore(Date.now());
setInterval(() => clock.set(Date.now()), TICK_MS);

/** The current time, which advances every half minute. */
export const useNow = () => useStore(clock);

/** A time relative to now, such as “5 min. ago”. */
export function RelativeTime({ time }: { time: string }) {
  const now = useNow();
  return (
    <time dateTime={time} title={absolute.format(new Date(time))}>
      {relativeTime(time, now)}
    </time>
  );
}
