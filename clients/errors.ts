// Describes errors in one line, for the error types of all clients.

/** The errors of a response. */
export interface GraphqlError {
  message: string;
  extensions?: Record<string, unknown>;
}

/** The GraphQL errors in what a client throws: a list, or an object or error that contains one. */
export function graphqlErrors(failure: any): readonly GraphqlError[] {
  const errors = Array.isArray(failure) ? failure : (failure?.errors ?? failure?.source?.errors ?? failure?.graphQLErrors);
  return Array.isArray(errors) ? errors.filter((error) => typeof error?.message === "string") : [];
}

/** Whether the access token has expired or is invalid, so that a retry with it is useless. */
export function isSignedOut(failure: any): boolean {
  return failure?.code === 4403 || graphqlErrors(failure).some(({ extensions }) => extensions?.code === "UNAUTHENTICATED");
}

export function describe(failure: any): string {
  const errors = graphqlErrors(failure);
  if (errors.length > 0) {
    return errors.map(({ message, extensions }) => (extensions?.code ? `${message} (${extensions.code})` : message)).join("\n");
  }
  // The close event of a WebSocket.
  if (typeof failure?.code === "number") return `The connection was closed: ${failure.reason || "no reason given"} (${failure.code}).`;
  // fetch in Node has the reason in `cause`, the error event of a WebSocket in `error`.
  const { message, cause, error } = failure ?? {};
  const reason = [cause ?? error ?? failure].flatMap((inner: any) => inner?.errors ?? [inner]).map((inner: any) => inner?.message || inner?.code);
  return [...new Set([message, ...reason])].filter(Boolean).join(": ") || String(failure);
}
