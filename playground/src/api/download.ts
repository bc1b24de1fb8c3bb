// A download that needs the access token, which a plain link could not send.
import { authorizedFetch } from "./authorizedFetch";
import { serverUrl } from "./endpoint";
import { ApiError } from "./errors";

/** Saves the file at a path on the server. Rejects with an ApiError. */
export async function download(path: string, fileName: string): Promise<void> {
  const response = await authorizedFetch(serverUrl(path)).catch(() => {
    throw new ApiError("NETWORK", "");
  });
  if (response.status === 429) {
    throw new ApiError("RATE_LIMITED", "", { retryAfter: Number(response.headers.get("retry-after") ?? 60) });
  }
  if (!response.ok) throw new ApiError("NETWORK", `status ${response.status}`);
  const url = URL.createObjectURL(await response.blob());
  const link = document.createElement("a");
  link.href = url;
  link.download = fileName;
  link.click();
  URL.revokeObjectURL(url);
}
