// fetch with the access token of the session. If the server rejects the token, it is refreshed and the request repeated once.
import { readServerClock } from "./serverClock";
import { accessToken, rejectAccessToken } from "./tokens";

export async function authorizedFetch(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const token = await accessToken();
  const response = await fetch(input, withToken(init, token));
  readServerClock(response.headers);
  if (!token || !(await isUnauthenticated(response))) return response;
  rejectAccessToken(token);
  const renewed = await accessToken();
  return renewed ? fetch(input, withToken(init, renewed)) : response;
}

function withToken(init: RequestInit | undefined, token: string | null): RequestInit | undefined {
  if (!token) return init;
  const headers = new Headers(init?.headers);
  headers.set("authorization", `Bearer ${token}`);
  return { ...init, headers };
}

/** A rejected token is an error in the body of a GraphQL response, and status 401 elsewhere. */
async function isUnauthenticated(response: Response): Promise<boolean> {
  if (response.status === 401) return true;
  if (!response.headers.get("content-type")?.includes("json") || response.headers.has("content-disposition")) return false;
  try {
    const body = (await response.clone().json()) as { errors?: { extensions?: { code?: string } }[] };
    return body.errors?.some(({ extensions }) => extensions?.code === "UNAUTHENTICATED") ?? false;
  } catch {
    return false;
  }
}
