//! Logs and metrics. Both are leaves: code that counts receives handles and knows nothing of the rest.

mod logs;
pub mod metrics;

pub use logs::{Logs, OncePerMinute, init};
