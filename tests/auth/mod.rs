//! Signing up and in, sessions, passwords, and what is kept of a user.

mod account_deletion;
mod data_export;
mod otp_delivery;
mod passwords;
mod refresh_tokens;
mod sign_in;
mod signing_keys;
mod signup;
mod verify_otp;
