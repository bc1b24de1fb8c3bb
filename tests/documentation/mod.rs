//! The documentation matches the code.

mod errors;
mod readme;
