//! The [signature of a webhook](https://docs.stripe.com/webhooks#verify-manually): `t=<unix>,v1=<hex>`, an HMAC-SHA256 over
//! `<t>.<body>`. While a secret is being replaced, the header has a `v1` for each secret.

use entity::Timestamp;
use ring::hmac;

/// How far a signature's timestamp may be from now, in seconds. This limits how long a recorded request can be replayed.
const TOLERANCE_SECS: u64 = 300;

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    #[error("the Stripe-Signature header has no timestamp")]
    NoTimestamp,
    #[error("no v1 signature in the Stripe-Signature header matches the body and STRIPE_WEBHOOK_SECRET")]
    NoMatch,
    #[error("the timestamp is more than {TOLERANCE_SECS} seconds from this server's time")]
    TimestampOutOfTolerance,
}

/// Verifies that the holder of `secret` signed this body, at most five minutes before or after `now`.
///
/// # Errors
/// See [`SignatureError`].
pub fn verify(header: &str, body: &[u8], secret: &str, now: Timestamp) -> Result<(), SignatureError> {
    let mut signed_at = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=') {
            Some(("t", value)) => signed_at = value.parse::<i64>().ok(),
            Some(("v1", value)) => signatures.extend(hex::decode(value).ok()),
            _ => {}
        }
    }
    let signed_at = signed_at.ok_or(SignatureError::NoTimestamp)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [signed_at.to_string().as_bytes(), b".", body].concat();
    if !signatures.iter().any(|signature| hmac::verify(&key, &signed, signature).is_ok()) {
        return Err(SignatureError::NoMatch);
    }
    if now.timestamp().abs_diff(signed_at) > TOLERANCE_SECS {
        return Err(SignatureError::TimestampOutOfTolerance);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED_AT: i64 = 1_795_262_400;
    const BODY: &str = r#"{"id":"evt_1","object":"event","type":"ping","data":{"object":{}}}"#;
    const SECRET: &str = "whsec_one";
    /// Written by Stripe's Node library (tests/fixtures/stripe/signatures.mjs) for this body, time and secret.
    const SIGNATURE: &str = "fdd5558c6f57b91de60613e573d47cea9e2d72a440ec7a570c43e6e868c09fc3";
    /// The same for the secret `whsec_andanother0123456789abcdef`.
    const OTHER_SIGNATURE: &str = "e35af68bae88239befef77ebb82727ce6bef15b8a08b46c674d220eb4552bfe2";

    fn verify_at(seconds: i64, header: &str, body: &str, secret: &str) -> Result<(), SignatureError> {
        let now = Timestamp::from_timestamp(SIGNED_AT + seconds, 0).unwrap();
        verify(header, body.as_bytes(), secret, now)
    }

    #[test]
    fn signature_of_stripes_library_is_valid() {
        let header = format!("t={SIGNED_AT},v1={SIGNATURE}");
        assert_eq!(verify_at(0, &header, BODY, SECRET), Ok(()));
        let header = format!("t={SIGNED_AT},v1={OTHER_SIGNATURE}");
        assert_eq!(verify_at(0, &header, BODY, "whsec_andanother0123456789abcdef"), Ok(()));
    }

    #[test]
    fn signature_with_another_secret_or_body_does_not_match() {
        let header = format!("t={SIGNED_AT},v1={SIGNATURE}");
        assert_eq!(verify_at(0, &header, BODY, "whsec_two"), Err(SignatureError::NoMatch));
        assert_eq!(verify_at(0, &header, &format!("{BODY} "), SECRET), Err(SignatureError::NoMatch));
        // The timestamp is signed too.
        let header = format!("t={},v1={SIGNATURE}", SIGNED_AT + 1);
        assert_eq!(verify_at(0, &header, BODY, SECRET), Err(SignatureError::NoMatch));
    }

    #[test]
    fn timestamp_more_than_five_minutes_from_now_is_out_of_tolerance() {
        let header = format!("t={SIGNED_AT},v1={SIGNATURE}");
        for seconds in [-300, 300] {
            assert_eq!(verify_at(seconds, &header, BODY, SECRET), Ok(()), "{seconds}");
        }
        for seconds in [-301, 301] {
            let result = verify_at(seconds, &header, BODY, SECRET);
            assert_eq!(result, Err(SignatureError::TimestampOutOfTolerance), "{seconds}");
        }
    }

    #[test]
    fn one_matching_v1_signature_of_several_is_enough() {
        for header in [
            format!("t={SIGNED_AT},v1={SIGNATURE},v1={OTHER_SIGNATURE}"),
            format!("t={SIGNED_AT},v1={OTHER_SIGNATURE},v1={SIGNATURE}"),
            format!("t={SIGNED_AT}, v0=00, v1={SIGNATURE}"),
        ] {
            assert_eq!(verify_at(0, &header, BODY, SECRET), Ok(()), "{header}");
        }
    }

    #[test]
    fn malformed_header_is_rejected() {
        for header in ["", "nonsense", &format!("v1={SIGNATURE}"), &format!("t=yesterday,v1={SIGNATURE}")] {
            assert_eq!(verify_at(0, header, BODY, SECRET), Err(SignatureError::NoTimestamp), "{header}");
        }
        for header in [
            format!("t={SIGNED_AT}"),
            format!("t={SIGNED_AT},v1="),
            format!("t={SIGNED_AT},v1=zz"),
            format!("t={SIGNED_AT},v1={}", &SIGNATURE[..62]),
            format!("t={SIGNED_AT},v0={SIGNATURE}"),
        ] {
            assert_eq!(verify_at(0, &header, BODY, SECRET), Err(SignatureError::NoMatch), "{header}");
        }
    }
}
