//! HTTP calls to services that deliver one-time passwords, and the classification of their failures as final or temporary.

use anyhow::anyhow;
use reqwest::{RequestBuilder, Response, StatusCode};

use crate::ports::otp_sender::DeliveryError;

/// Sends a request. The error does not contain the URL, which may hold a secret.
pub(super) async fn send_request(request: RequestBuilder) -> Result<Response, DeliveryError> {
    request.send().await.map_err(|error| DeliveryError::Failed(error.without_url().into()))
}

/// The error for a status other than success. `detail` is appended to its message, for the log. The error is final if the service
/// rejects the message. It is not final if the cause is temporary, or if the operator can remove it, such as a wrong credential
/// or URL.
pub(super) fn error_of_status(status: StatusCode, detail: &str) -> DeliveryError {
    let cause = anyhow!("the delivery service returned {status}{detail}");
    match status.as_u16() {
        401 | 403 | 404 | 408 | 425 | 429 | 500.. => DeliveryError::Failed(cause),
        _ => DeliveryError::Rejected(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejected_message_is_a_final_failure() {
        for (status, is_final) in
            [(400, true), (422, true), (401, false), (404, false), (429, false), (500, false), (503, false)]
        {
            let error = error_of_status(StatusCode::from_u16(status).unwrap(), "");
            assert_eq!(matches!(error, DeliveryError::Rejected(_)), is_final, "{status}");
        }
    }
}
