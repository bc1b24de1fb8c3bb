//! The model client, against a stand-in that speaks the provider's protocol.

mod gemini_errors;
mod gemini_finish_reasons;
mod gemini_malformed_frames;
mod gemini_protocol;
