//! Pollux: a self-hosted backend for AI chat products, whose replies always arrive.
//!
//! ```text
//!  http ──► graphql ──┐
//!                     ├──► domain ──► store ──► entity
//!  jobs ──────────────┘        └────► ports ◄── adapters
//! ```
//!
//! Arrows point one way only. [`app`] alone knows ports and adapters; [`backoff`], [`clock`], [`config`], [`error`], [`lifecycle`]
//! and [`telemetry`] are leaves.

pub mod adapters;
pub mod app;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod domain;
pub mod error;
pub mod graphql;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod ports;
pub mod store;
pub mod telemetry;
