//! Logs, metrics and traces. This module depends on no other part of Pollux. A part that counts something receives handles of its
//! own metrics only.

mod logs;
pub mod metrics;
pub mod traces;

pub use logs::{Logs, OncePerMinute, init};
