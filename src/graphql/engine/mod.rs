//! One way for every operation, whatever transport it came by.
//!
//! ```text
//!  text ──► tokens ──► document ──► variables ──► normalize ──► async-graphql ──► shape ──► response
//!           counted    parsed,      coerced       one operation without           nulls and
//!                      validated                  fragments, variables and        order as the
//!                                                 directives, weighed             specification says
//! ```
//!
//! async-graphql only resolves fields: what the specification says about documents, variables, fragments, directives, merging
//! and null propagation is decided here, before and after it. Each step costs time linear in what the step before it let pass.

mod document;
mod execute;
mod limits;
mod memory;
mod normalize;
mod positions;
mod resolve;
mod shape;
mod tokens;
mod variables;

#[cfg(test)]
mod tests;

pub use execute::{Executor, Prepared};
pub use limits::too_much;
pub use memory::Account;
