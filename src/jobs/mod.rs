//! The worker: claims jobs and works on them, each kind in a file of its own.

mod housekeeping;
mod lease;
mod runner;

pub use runner::Runner;
