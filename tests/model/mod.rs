//! The clients of model providers against fake servers that speak the providers' protocols.

mod contract;
mod fallback;
mod gemini_errors;
mod gemini_finish_reasons;
mod gemini_malformed_frames;
mod gemini_protocol;
mod generation;
mod official_sdks;
mod openai_errors;
mod openai_protocol;
