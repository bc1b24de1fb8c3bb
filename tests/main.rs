//! Integration tests of what users, clients and operators observe. Most tests start their own server with a fake Gemini and
//! connect to it over real sockets; a few, such as those of `architecture` and `documentation`, read only files.

#![allow(clippy::unwrap_used, reason = "a test fails where it panics")]

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
