//! Gemini's [streamGenerateContent](https://ai.google.dev/api/generate-content#method:-models.streamgeneratecontent).
//!
//! ```text
//!  client ──► bytes ──► sse: lines, events ──► objects: JSON objects ──► answer: text, counts, an end
//!     │                                                                    │
//!     └── status, headers, timeout ──► failure: retry or not, and when ◄──┘ an error between events
//! ```

mod answer;
mod client;
mod failure;
mod lenient;
mod objects;
mod sse;
mod surrogates;

pub use client::{Gemini, Timeouts};
