//! What a user, an operator or a client sees, tested from outside: a server a test, a stand-in for Gemini, real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail where it stands")]

mod support;

mod architecture;
mod auth;
mod billing;
mod chatrooms;
mod clients;
mod documentation;
mod graphql;
mod jobs;
mod model;
mod operations;
mod ports;
mod replies;
mod scale;
mod single;
mod transports;
