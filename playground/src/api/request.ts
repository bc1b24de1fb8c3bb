// One query or mutation as a promise of its data.
import type { AnyVariables, TypedDocumentNode } from "@urql/core";
import { client } from "./client";
import { ApiError, toApiError } from "./errors";

/** Rejects with an ApiError. */
export async function query<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return dataOf(await client.query(document, variables).toPromise());
}

/** A query of which fields may fail: they are null then. Rejects with an ApiError if there is no data. */
export async function queryPartially<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  const { data, error } = await client.query(document, variables).toPromise();
  return dataOf({ data, error: data ? undefined : error });
}

/** A query without the tokens of the session. Rejects with an ApiError. */
export async function queryAnonymously<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return dataOf(await client.query(document, variables, { fetch }).toPromise());
}

/** Rejects with an ApiError. After NETWORK, the mutation may have been executed. */
export async function mutate<Data, Variables extends AnyVariables>(
  document: TypedDocumentNode<Data, Variables>,
  variables: Variables,
): Promise<Data> {
  return dataOf(await client.mutation(document, variables).toPromise());
}

function dataOf<Data>({ data, error }: { data?: Data; error?: unknown }): Data {
  if (error) throw toApiError(error);
  if (data === undefined || data === null) throw new ApiError("NETWORK", "");
  return data;
}
