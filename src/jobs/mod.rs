//! The worker: claims jobs and works on them, each kind in a file of its own.

mod erase;
mod housekeeping;
mod lease;
mod runner;
mod silence;

pub use runner::Runner;
