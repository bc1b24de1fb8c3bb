// Which links of a message can be followed.
import { decodeEntities } from "./entities";

const PROTOCOLS = new Set(["http:", "https:", "mailto:"]);

/** The address of a link, or null if it has another protocol or is relative: a message has no address to be relative to. */
export function safeHref(href: string): string | null {
  try {
    const url = new URL(decodeEntities(href));
    return PROTOCOLS.has(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
