//! What a user, an operator or a client sees, tested from outside: a server a test, a stand-in for Gemini, real sockets.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is to fail where it stands")]

mod support;

mod accounts;
mod billing;
mod clients;
mod codes;
mod conformance;
mod connections;
mod crash;
mod delivery;
mod downloads;
mod errors;
mod gemini_ends;
mod gemini_errors;
mod gemini_frames;
mod gemini_wire;
mod house;
mod http2;
mod jobs;
mod keys;
mod leaving;
mod limits;
mod loaders;
mod logs;
mod messages;
mod migrations;
mod parameters;
mod passwords;
mod persisted;
mod ports;
mod readme;
mod refresh_tokens;
mod replies;
mod room_events;
mod rooms;
mod scale;
mod settings;
mod signups;
mod single;
mod sockets;
mod startup;
mod stops;
mod subscription_rules;
mod texts;
mod transports;
mod turns;
mod webhook_crowd;
mod webhook_orders;
mod webhooks;
