// What went wrong, in words, however a client wraps it.

/** The errors of a response. */
export interface GraphqlError {
  message: string;
  extensions?: Record<string, unknown>;
}

/** GraphQL's errors in whatever a client throws: a list of them, or an object or an error that holds one. */
export function graphqlErrors(failure: any): readonly GraphqlError[] {
  const errors = Array.isArray(failure) ? failure : (failure?.errors ?? failure?.source?.errors ?? failure?.graphQLErrors);
  return Array.isArray(errors) ? errors.filter((error) => typeof error?.message === "string") : [];
}

/** Whether the access token has expired, or never was one: to come back with it is of no use. */
export function isSignedOut(failure: any): boolean {
  return failure?.code === 4403 || graphqlErrors(failure).some(({ extensions }) => extensions?.code === "UNAUTHENTICATED");
}

export function describe(failure: any): string {
  const errors = graphqlErrors(failure);
  if (errors.length > 0) {
    return errors.map(({ message, extensions }) => (extensions?.code ? `${message} (${extensions.code})` : message)).join("\n");
  }
  // A WebSocket's close event.
  if (typeof failure?.code === "number") return `The connection was closed: ${failure.reason || "no reason given"} (${failure.code}).`;
  // Node's fetch hides the reason in its cause, a WebSocket's error event in its error.
  const { message, cause, error } = failure ?? {};
  const reason = [cause ?? error ?? failure].flatMap((inner: any) => inner?.errors ?? [inner]).map((inner: any) => inner?.message || inner?.code);
  return [...new Set([message, ...reason])].filter(Boolean).join(": ") || String(failure);
}
