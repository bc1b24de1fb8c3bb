//! Where people go on after Stripe's pages: the front end, and nowhere else, so that nobody is led astray.

use url::Url;

use super::SESSION_ID;
use crate::{
    domain::text::reject_nul,
    error::{Error, Result},
};

/// In bytes.
const LONGEST: usize = 2000;

/// The URL as a browser reads it, if it is of the front end's origin; `path` of the front end without one. What is sent on is
/// what was checked, never the text that was given.
pub fn of_frontend(frontend: &str, given: Option<String>, path: &str, field: &'static str) -> Result<String> {
    let Some(given) = given else { return Ok(format!("{frontend}{path}")) };
    let own =
        Url::parse(frontend).map_err(|cause| anyhow::anyhow!("FRONTEND_URL cannot be read: {cause}"))?;
    reject_nul(field, &given)?;
    let url = Url::parse(&given)
        .ok()
        .filter(|url| url.origin() == own.origin() && url.username().is_empty() && url.password().is_none());
    let Some(url) = url else {
        let origin = own.origin().ascii_serialization();
        let problem = format!("{field} must be a URL that begins with {origin}, without a user name.");
        return Err(Error::bad_input(field, problem));
    };
    // A path with the placeholder in it would have it encoded.
    let text = url.as_str().replace("%7BCHECKOUT_SESSION_ID%7D", SESSION_ID);
    if given.len() > LONGEST || text.len() > LONGEST {
        return Err(Error::bad_input(
            field,
            format!("{field} must be at most {LONGEST} bytes, also once encoded."),
        ));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_on_is_the_url_that_was_checked() {
        let read = |text: &str| of_frontend("https://chat.example", Some(text.to_owned()), "", "successUrl");
        for (given, sent) in [
            ("https://chat.example", "https://chat.example/"),
            ("https://CHAT.example:443/a", "https://chat.example/a"),
            ("https:\\\\chat.example\\@evil.example", "https://chat.example/@evil.example"),
            ("https://chat.example\\.evil.example", "https://chat.example/.evil.example"),
            (" https://chat.example/a\n\t/b ", "https://chat.example/a/b"),
            ("https://chat.example/a b?c d#e f", "https://chat.example/a%20b?c%20d#e%20f"),
            ("https://chat.example/x/../y", "https://chat.example/y"),
            ("https://chat.example/{CHECKOUT_SESSION_ID}", "https://chat.example/{CHECKOUT_SESSION_ID}"),
            (
                "https://chat.example/?s={CHECKOUT_SESSION_ID}",
                "https://chat.example/?s={CHECKOUT_SESSION_ID}",
            ),
        ] {
            assert_eq!(read(given).unwrap(), sent, "{given}");
        }
        for given in [
            "https://evil.example\\@chat.example/",
            "https://chat.example@evil.example/",
            "https://chat.example%2eevil.example/",
            "https://me@chat.example/",
            "https://:word@chat.example/",
            "//chat.example/",
            "https://chat.example/\0",
            &format!("https://chat.example/{}", "x".repeat(2000)),
            &format!("https://chat.example/{}", "é".repeat(700)),
        ] {
            assert!(read(given).is_err(), "{given}");
        }
    }
}
