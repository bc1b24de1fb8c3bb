//! The Gemini client against a fake server that speaks Gemini's protocol.

mod gemini_errors;
mod gemini_finish_reasons;
mod gemini_malformed_frames;
mod gemini_protocol;
