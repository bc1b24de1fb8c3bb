//! `POST /webhook/stripe`.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Response},
};

use super::{Api, text};
use crate::{error::Error, telemetry::OncePerMinute};

const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// Answers 200 once the event is stored; Stripe sends again what is answered otherwise.
pub(super) async fn post(State(api): State<Arc<Api>>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = text(&headers, &SIGNATURE).unwrap_or_default();
    match api.billing.receive(&body, signature).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Error::BadInput { message, .. }) => {
            // Anybody can send what is not signed.
            static REFUSED: OncePerMinute = OncePerMinute::new();
            if let Some(others) = REFUSED.pass() {
                tracing::warn!(message, others, "a webhook was refused");
            }
            (StatusCode::BAD_REQUEST, message + "\n").into_response()
        }
        Err(Error::BillingNotConfigured(missing)) => {
            let problem = format!("{} must be set.\n", missing.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, problem).into_response()
        }
        Err(error) => {
            tracing::error!(?error, "a webhook was not stored");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
