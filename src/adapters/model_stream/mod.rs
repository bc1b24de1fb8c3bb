//! What the clients of streaming model APIs share: the steps from an HTTP response to the chunks of an answer.
//!
//! ```text
//!  bytes ──► sse: lines, events ──► objects: JSON objects ──► the provider's Answer: text, counts, an end
//!                                                                │
//!  status, headers, timeout ──► failure: retry or not, and when ◄┘ an error in the stream
//! ```

pub mod failure;
pub mod lenient;
mod objects;
mod optional;
mod response;
mod sse;
mod surrogates;

pub use objects::Objects;
pub use optional::OptionalParameters;
pub use response::{Answer, ReadResult, Timeouts, chunks};
pub use sse::DONE;
pub use surrogates::Surrogates;
