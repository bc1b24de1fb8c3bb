//! Sign-up, sign-in, sessions, passwords, OTP delivery, data export and account deletion.

mod account_deletion;
mod data_export;
mod otp_delivery;
mod passwords;
mod refresh_tokens;
mod sign_in;
mod signing_keys;
mod signup;
mod verify_otp;
