//! The worker: claims jobs and runs them, and runs periodic tasks.
//!
//! ```text
//!  runner ──claim──► kinds::Registry ──by name──► kinds/<kind>.rs: run, retry policy, give_up
//!    │                                               │
//!    ├─ lease: renewed while the job runs            └─► complete | retry after backoff | release | settled
//!    └─ stops: cancels the runs that users ask to stop
//!
//!  periodic/: housekeeping, reconciliation with Stripe, the search index, SQLite checkpoints
//! ```
//!
//! A kind of job is one file in `kinds/` and one line of its registry. The domain's use case that queues the jobs defines the
//! name of their kind, because the domain does not know the worker.

mod kinds;
mod lease;
mod periodic;
mod runner;
mod stops;

pub use runner::Runner;
