//! Servers, fake providers and clients for the tests, as in
//! `TestApp::start().await.user().await.create_chatroom("Plans").await.send("Hello").await`.

#![allow(dead_code, unused_imports, unused_macros, reason = "each test and benchmark uses a part")]
#![allow(clippy::unwrap_used, reason = "a test fails where it panics")]
#![allow(clippy::disallowed_methods, reason = "tests await or abort their own tasks")]
#![allow(clippy::needless_pass_by_value, reason = "call sites pass json!(…) by value")]

pub mod accounts;
pub mod app;
pub mod backend;
pub mod billing;
pub mod chatroom_copy;
pub mod delivery_service;
pub mod gemini;
pub mod list_copy;
pub mod model_server;
pub mod models;
pub mod openai;
pub mod previous_release;
pub mod process;
pub mod replies;
pub mod requirements;
pub mod socket;
pub mod sources;
pub mod stripe;
pub mod tcp_proxy;
pub mod user;

pub use app::TestApp;
pub use backend::Backend;
pub use delivery_service::DeliveryService;
pub use gemini::FakeGemini;
pub use model_server::{Gate, ModelServer, Script};
pub use openai::FakeOpenAi;
pub use stripe::FakeStripe;
pub use tcp_proxy::TcpProxy;
pub use user::{TestUser, code_of};
