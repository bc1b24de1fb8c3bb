//! Logs, metrics and traces. They are leaves: code that counts receives handles and knows nothing of the rest.

mod logs;
pub mod metrics;
pub mod traces;

pub use logs::{Logs, OncePerMinute, init};
