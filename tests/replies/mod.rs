//! The life of a reply: order, fairness, stopping, recovery.

mod crash_recovery;
mod fairness;
mod lifecycle;
mod stopping;
