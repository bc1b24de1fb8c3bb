//! HTTP, HTTP/2, WebSocket and the web page.

mod connections;
mod http;
mod http2;
mod playground;
mod websocket;
