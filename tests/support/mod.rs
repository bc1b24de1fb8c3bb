//! A server for each test, and clients that read like sentences:
//! `app.user().await.room("Plans").await.ask("Hello").await`.

#![allow(dead_code, unused_imports, reason = "each test and benchmark uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail where it stands")]
#![allow(clippy::disallowed_methods, reason = "what a test starts it awaits or aborts itself")]
#![allow(clippy::needless_pass_by_value, reason = "json!(…) is handed over as it is written")]

pub mod accounts;
pub mod app;
pub mod backend;
pub mod billing;
pub mod cable;
pub mod delivery_service;
pub mod gemini;
pub mod process;
pub mod replies;
pub mod socket;
pub mod sources;
pub mod stripe;
pub mod user;

pub use app::TestApp;
pub use backend::Backend;
pub use cable::Cable;
pub use delivery_service::DeliveryService;
pub use gemini::{Gate, Script, StandIn};
pub use stripe::Stripe;
pub use user::{TestUser, code_of};
