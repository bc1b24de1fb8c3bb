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
/// or URL. A redirect means that the URL is wrong, because it is not followed.
pub(super) fn error_of_status(status: StatusCode, detail: &str) -> DeliveryError {
    let cause = anyhow!("the delivery service returned {status}{detail}");
    match status.as_u16() {
        300..=399 | 401..=405 | 407 | 408 | 410 | 425 | 429 | 500.. => DeliveryError::Failed(cause),
        _ => DeliveryError::Rejected(cause),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_rejected_message_is_a_final_failure() {
        let temporary = [308, 401, 402, 404, 405, 410, 429, 500, 503];
        for (status, is_final) in [400, 413, 422]
            .map(|status| (status, true))
            .into_iter()
            .chain(temporary.map(|status| (status, false)))
        {
            let error = error_of_status(StatusCode::from_u16(status).unwrap(), "");
            assert_eq!(matches!(error, DeliveryError::Rejected(_)), is_final, "{status}");
        }
    }
}
