//! What the adapters of streaming model APIs share: the steps from an HTTP response to the chunks of an answer.
//!
//! ```text
//!  bytes ──► sse: events ──► objects: JSON ──► the provider's `impl Answer` ──► chunks: text, token counts, finish reason
//!                                                        │ an error in the stream
//!                                                        ▼
//!                    status, headers, timeout ──► failure: whether and when to retry
//! ```
//!
//! `response` reads an HTTP response through these steps, with timeouts. `lenient` deserializes JSON that deviates from a
//! provider's documentation, `surrogates` joins UTF-16 surrogates that a provider has split, and `optional` remembers which
//! parameters a model rejects.

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
