//! A server for each test, and clients that read like sentences:
//! `app.user().await.room("Plans").await.ask("Hello").await`.

#![allow(dead_code, reason = "each test and benchmark uses a part")]

pub mod app;
pub mod gemini;
pub mod process;
pub mod socket;
pub mod user;

pub use app::TestApp;
pub use gemini::{Gate, Script, StandIn};
pub use user::{TestUser, code_of};
