//! The signature of a webhook, as [Stripe says it](https://docs.stripe.com/webhooks#verify-manually): `t=<unix>,v1=<hex>`,
//! an HMAC-SHA256 over `<t>.<body>`. Several `v1` stand there while a secret is being replaced.

use entity::Timestamp;
use ring::hmac;

/// How far the clocks may differ, and how old a replayed request may be, in seconds.
const TOLERANCE_SECS: u64 = 300;

/// Whether somebody who knows the secret has signed this body, just now.
///
/// # Errors
/// Why not.
pub fn verify(header: &str, body: &[u8], secret: &str, now: Timestamp) -> Result<(), &'static str> {
    let mut signed_at = None;
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=') {
            Some(("t", value)) => signed_at = value.parse::<i64>().ok(),
            Some(("v1", value)) => signatures.extend(hex::decode(value).ok()),
            _ => {}
        }
    }
    let signed_at = signed_at.ok_or("the Stripe-Signature header has no time")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [signed_at.to_string().as_bytes(), b".", body].concat();
    if !signatures.iter().any(|signature| hmac::verify(&key, &signed, signature).is_ok()) {
        return Err("no signature in the Stripe-Signature header fits the body and STRIPE_WEBHOOK_SECRET");
    }
    if now.timestamp().abs_diff(signed_at) > TOLERANCE_SECS {
        return Err("the signature is not of the last five minutes");
    }
    Ok(())
}
