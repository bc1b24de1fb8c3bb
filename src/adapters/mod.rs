//! Implementations of the ports, and helpers that several of them use.

pub mod demo_model;
pub mod gemini;
mod guarded;
pub mod measured;
pub mod memory;
mod model_stream;
pub mod no_rate_limit;
pub mod openai;
pub mod otlp;
pub mod otp;
mod otp_http;
pub mod otp_webhook;
pub mod redis;
pub mod stripe;
pub mod twilio;

pub use model_stream::Timeouts;
