// The addresses of the API. This page is served by the server itself; a front end of another origin changes this file only
// (and the server's CORS_ORIGINS).

export const GRAPHQL_URL = new URL("/graphql", location.origin).href;
export const SOCKET_URL = GRAPHQL_URL.replace(/^http/, "ws");

/** The address of a path on the server, such as that of the data export. */
export const serverUrl = (path: string) => new URL(path, GRAPHQL_URL).href;
