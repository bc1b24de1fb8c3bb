//! The documentation agrees with the code.

mod errors;
mod readme;
