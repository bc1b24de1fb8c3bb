//! `POST /webhook/stripe`.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode},
    response::{IntoResponse, Response},
};

use super::{api::Api, headers::text};
use crate::{error::Error, telemetry::OncePerMinute};

const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// Responds with 200 once the event is stored; a job processes it later. Stripe sends the event again after any other status.
pub(super) async fn post(State(api): State<Arc<Api>>, headers: HeaderMap, body: Bytes) -> Response {
    let signature = text(&headers, &SIGNATURE).unwrap_or_default();
    match api.billing.receive(&body, signature).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(Error::BadInput { message, .. }) => {
            // At most one line a minute is logged, because anyone can send requests without a valid signature.
            static REJECTED: OncePerMinute = OncePerMinute::new();
            if let Some(suppressed) = REJECTED.pass() {
                tracing::warn!(message, others = suppressed, "stripe webhook rejected");
            }
            (StatusCode::BAD_REQUEST, message + "\n").into_response()
        }
        Err(Error::BillingNotConfigured(missing)) => {
            let problem = format!("Billing is not configured on this server: set {}.\n", missing.join(", "));
            (StatusCode::SERVICE_UNAVAILABLE, problem).into_response()
        }
        Err(error) => {
            tracing::error!(?error, "storing stripe event failed");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
