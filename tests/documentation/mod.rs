//! The documentation matches the code.

mod api;
mod errors;
mod readme;
