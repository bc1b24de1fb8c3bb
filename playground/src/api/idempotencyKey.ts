// The name of one mutation of a user: sent again with the same key, it is executed once.

/** crypto.randomUUID needs a secure context, which a server in the local network does not have. */
export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
