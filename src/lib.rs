//! Pollux: a self-hosted backend for AI chat products, whose replies always arrive.
//!
//! ```text
//!  http ──► graphql ──┐
//!                     ├──► domain ──► store ──► entity
//!  jobs ──────────────┘        └────► ports ◄── adapters
//! ```
//!
//! Modules depend on one another only in the direction of the arrows. [`app`], which is not drawn, assembles all of them; no
//! other module uses the adapters. [`backoff`], [`clock`], [`config`], [`error`], [`lifecycle`] and [`telemetry`] are leaves:
//! every other module may use them, and they use no module.

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
