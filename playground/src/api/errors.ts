// Turns every failure of a request or subscription into an ApiError, which the rest of the code branches on by its code.
import { CombinedError } from "@urql/core";

/** `extensions.code` of a GraphQL error, or NETWORK: no response was received, so the operation may have been executed. */
export type ErrorCode =
  | "NETWORK"
  | "UNAUTHENTICATED"
  | "NOT_FOUND"
  | "BAD_USER_INPUT"
  | "CONFLICT"
  | "OTP_INVALID"
  | "RATE_LIMITED"
  | "QUOTA_EXCEEDED"
  | "BILLING_NOT_CONFIGURED"
  | "ALREADY_SUBSCRIBED"
  | "PAYMENT_PROVIDER_ERROR"
  | "INTERNAL_SERVER_ERROR"
  | (string & {});

export interface ErrorDetails {
  /** The input field of BAD_USER_INPUT. */
  field?: string;
  /** The seconds to wait of RATE_LIMITED. */
  retryAfter?: number;
  attemptsLeft?: number;
  /** The quota of QUOTA_EXCEEDED that is used up: DAILY_PROMPTS, DAILY_TOKENS or MONTHLY_TOKENS. */
  quota?: string;
  resetsAt?: string;
  upgradeable?: boolean;
  requestId?: string;
}

export class ApiError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: ErrorDetails = {},
  ) {
    super(message);
    this.name = "ApiError";
  }

  /** Whether the same request can succeed later without any change. */
  get isTemporary(): boolean {
    return ["NETWORK", "RATE_LIMITED", "INTERNAL_SERVER_ERROR"].includes(this.code);
  }
}

interface GraphqlError {
  message: string;
  extensions?: Record<string, unknown>;
}

export function fromGraphqlErrors(errors: readonly GraphqlError[]): ApiError {
  const { message, extensions = {} } = errors[0] ?? { message: "" };
  const { code, ...details } = extensions;
  return new ApiError(typeof code === "string" ? code : "INTERNAL_SERVER_ERROR", message, details);
}

/** The close code with which the server rejects an access token. */
export const SOCKET_FORBIDDEN = 4403;

/** From what urql, fetch or graphql-ws reports: GraphQL errors, a CloseEvent, or an Error. */
export function toApiError(failure: unknown): ApiError {
  if (failure instanceof ApiError) return failure;
  if (failure instanceof CombinedError) {
    if (failure.graphQLErrors.length > 0) return fromGraphqlErrors(failure.graphQLErrors);
    return toApiError(failure.networkError);
  }
  if (Array.isArray(failure)) return fromGraphqlErrors(failure as GraphqlError[]);
  if (failure instanceof CloseEvent && failure.code === SOCKET_FORBIDDEN) {
    return new ApiError("UNAUTHENTICATED", failure.reason);
  }
  return new ApiError("NETWORK", failure instanceof Error ? failure.message : "");
}
