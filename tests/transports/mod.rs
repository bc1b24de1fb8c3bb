//! HTTP, HTTP/2 and WebSocket.

mod connections;
mod http;
mod http2;
mod websocket;
