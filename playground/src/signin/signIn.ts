// Sign-in: each function rejects with an ApiError, and those that return nothing store the tokens of the new session.
import { mutate } from "../api/request";
import { storeTokens } from "../api/tokens";
import {
  ForgotPasswordDocument,
  LoginDocument,
  ResetPasswordDocument,
  SendOtpDocument,
  type SendOtpMutation,
  VerifyOtpDocument,
} from "../generated/operations";

export type SentCode = SendOtpMutation["sendOtp"];

/** People type spaces, dashes and brackets. */
export const normalizePhone = (typed: string) => typed.replace(/[\s().-]/g, "").replace(/^00/, "+");

export const sendCode = async (phone: string): Promise<SentCode> =>
  (await mutate(SendOtpDocument, { phoneNumber: normalizePhone(phone) })).sendOtp;

export async function verifyCode(phoneNumber: string, otp: string): Promise<void> {
  storeTokens((await mutate(VerifyOtpDocument, { phoneNumber, otp })).verifyOtp);
}

export async function signInWithPassword(phone: string, password: string): Promise<void> {
  storeTokens((await mutate(LoginDocument, { phoneNumber: normalizePhone(phone), password })).login);
}

export const sendResetCode = async (phone: string): Promise<SentCode> =>
  (await mutate(ForgotPasswordDocument, { phoneNumber: normalizePhone(phone) })).forgotPassword;

export async function resetPassword(phoneNumber: string, otp: string, newPassword: string): Promise<void> {
  storeTokens((await mutate(ResetPasswordDocument, { phoneNumber, otp, newPassword })).resetPassword);
}
