//! The limits of each request, as one middleware, because each middleware costs several allocations a request.

use std::panic::AssertUnwindSafe;

use axum::{extract::Request, middleware::Next, response::Response};
use futures_util::FutureExt;

use super::{backlog::limit_unread_bytes, body::receive_whole_body, rejection::panicked};

/// Executes a request: first it waits for capacity on its connection, then its body is received. A panic of its handler becomes a
/// response.
pub(super) async fn apply(request: Request, next: Next) -> Response {
    limit_unread_bytes(request, async |request| match receive_whole_body(request).await {
        Ok(request) => {
            AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|_| panicked())
        }
        Err(response) => response,
    })
    .await
}
