//! What a user, an operator or a client sees, tested from outside: a server a test, a stand-in for Gemini, real sockets.

mod support;

mod accounts;
mod crash;
mod gemini_wire;
mod house;
mod loaders;
mod messages;
mod migrations;
mod ports;
mod replies;
mod room_events;
mod rooms;
mod sockets;
mod turns;
