//! The lifecycle of replies: streaming, order, fairness, stopping and crash recovery.

mod crash_recovery;
mod fairness;
mod lifecycle;
mod stopping;
