// A name for a device from its User-Agent header. The order matters: most browsers also name those that they descend from.

const BROWSERS: [RegExp, string][] = [
  [/Edg\//, "Edge"],
  [/OPR\//, "Opera"],
  [/Firefox\//, "Firefox"],
  [/Chrome\//, "Chrome"],
  [/Safari\//, "Safari"],
];
const SYSTEMS: [RegExp, string][] = [
  [/Android/, "Android"],
  [/iPhone|iPad/, "iOS"],
  [/Windows/, "Windows"],
  [/Mac OS X/, "macOS"],
  [/Linux/, "Linux"],
];
const MAX_LENGTH = 60;

/** Null without a header. A program is named by its header's first words. */
export function describeDevice(userAgent: string | null): string | null {
  if (userAgent === null || userAgent === "") return null;
  const find = (names: [RegExp, string][]) => names.find(([pattern]) => pattern.test(userAgent))?.[1];
  const browser = find(BROWSERS);
  const system = find(SYSTEMS);
  if (browser && system) return `${browser}, ${system}`;
  return browser ?? userAgent.slice(0, MAX_LENGTH);
}
