//! The lifecycle of replies: streaming, order, fairness, prompts, stopping and crash recovery.

mod crash_recovery;
mod fairness;
mod lifecycle;
mod prompt;
mod stopping;
