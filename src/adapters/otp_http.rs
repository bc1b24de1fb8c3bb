//! HTTP calls to services that deliver one-time passwords, and the classification of their failures as final or temporary.

use anyhow::anyhow;
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::ports::otp_sender::DeliveryError;

/// Sends a request. The error does not contain the URL, which may hold a secret.
pub(super) async fn send_request(request: RequestBuilder) -> Result<Response, DeliveryError> {
    request.send().await.map_err(|error| DeliveryError::Failed(error.without_url().into()))
}

/// The error for a status other than success. `detail` is appended to its message, for the log. The error is final if the service
/// rejects the message (400, 413 or 422). Any other status has a temporary cause, or one that the operator can remove, such as a
/// wrong credential or URL.
pub(super) fn error_of_status(status: StatusCode, detail: &str) -> DeliveryError {
    let cause = anyhow!("the delivery service returned {status}{detail}");
    match status.as_u16() {
        400 | 413 | 422 => DeliveryError::Rejected(cause),
        _ => DeliveryError::Failed(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejected_message_is_a_final_failure() {
        let is_final = |status| {
            let error = error_of_status(StatusCode::from_u16(status).unwrap(), "");
            matches!(error, DeliveryError::Rejected(_))
        };
        for status in [400, 413, 422] {
            assert!(is_final(status), "{status}");
        }
        for status in [301, 308, 401, 402, 403, 404, 405, 408, 410, 415, 425, 429, 500, 503] {
            assert!(!is_final(status), "{status}");
        }
    }
}
