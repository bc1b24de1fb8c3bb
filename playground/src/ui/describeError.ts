// The words for an error. Messages of the server are for people already; only failures without one have words here.
import { ApiError } from "../api/errors";
import { strings } from "../strings";

export function describeError(error: unknown): string {
  if (!(error instanceof ApiError)) return strings.errors.unknown;
  switch (error.code) {
    case "NETWORK":
      return strings.errors.network;
    case "RATE_LIMITED":
      return error.details.retryAfter === undefined ? error.message : strings.errors.rateLimited(error.details.retryAfter);
    case "INTERNAL_SERVER_ERROR":
      return error.details.requestId === undefined
        ? strings.errors.unknown
        : strings.errors.internal(error.details.requestId);
    case "OTP_INVALID":
      return `${error.message} ${strings.signIn.attemptsLeft(error.details.attemptsLeft ?? 0)}`;
    default:
      return error.message === "" ? strings.errors.unknown : error.message;
  }
}
