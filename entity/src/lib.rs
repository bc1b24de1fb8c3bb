//! The tables as sea-orm entities, one file each, and the typed ids they share.
//!
//! This crate contains no rules of the product. A column's comment states what the column holds and why.

pub mod admin_action;
pub mod chatroom;
pub mod chatroom_share;
pub mod checkout;
pub mod daily_usage;
pub mod id;
pub mod idempotency_key;
pub mod job;
pub mod message;
pub mod otp;
pub mod session;
pub mod stripe_event;
pub mod subscription;
pub mod user;

pub use id::{ChatroomId, JobId, MessageId, OtpId, SessionId, ShareId, UserId};

/// A point in time as both databases keep it: UTC, to the microsecond.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
