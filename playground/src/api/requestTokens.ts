// The refreshToken mutation, by fetch: the GraphQL client waits for its result before it sends anything else.
import { stringifyDocument } from "@urql/core";
import { RefreshTokenDocument, type RefreshTokenMutation, type TokensFragment } from "../generated/operations";
import { GRAPHQL_URL } from "./endpoint";
import { ApiError, fromGraphqlErrors } from "./errors";
import { readServerClock } from "./serverClock";

/** Safe to retry: until the new tokens are used, the old refresh token returns the same ones. */
export async function requestTokens(refreshToken: string): Promise<TokensFragment> {
  let response: Response;
  let body: { data?: RefreshTokenMutation; errors?: { message: string }[] };
  try {
    response = await fetch(GRAPHQL_URL, {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/graphql-response+json, application/json" },
      body: JSON.stringify({ query: stringifyDocument(RefreshTokenDocument), variables: { refreshToken } }),
    });
    body = (await response.json()) as typeof body;
  } catch (error) {
    throw new ApiError("NETWORK", error instanceof Error ? error.message : "");
  }
  if (body.errors) throw fromGraphqlErrors(body.errors);
  if (!body.data) throw new ApiError("NETWORK", `status ${response.status}`);
  readServerClock(response.headers);
  return body.data.refreshToken;
}
