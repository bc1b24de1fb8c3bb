//! Tiers: what a user may use.

pub mod tiers;
