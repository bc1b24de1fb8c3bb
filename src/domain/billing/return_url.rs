//! The URLs to which Stripe's pages redirect. Only URLs of the front end's origin are accepted, so that Pollux is not an open
//! redirect.

use url::Url;

use super::SESSION_ID_PLACEHOLDER;
use crate::{
    domain::text::reject_nul,
    error::{Error, Result},
};

/// The maximum length of a URL, in bytes.
const MAX_LENGTH: usize = 2000;

/// Validates and normalizes a URL of the front end. Without an input, returns the URL of `default_path` on the front end.
/// Otherwise returns the URL as it was parsed, never the input itself, because a browser might parse the input differently.
///
/// # Errors
/// [`Error::BadInput`] for `field` if the URL is invalid or too long, or has another origin, a user name or a password.
pub fn return_url_or_default(
    frontend: &str,
    input: Option<String>,
    default_path: &str,
    field: &'static str,
) -> Result<String> {
    let Some(input) = input else { return Ok(format!("{frontend}{default_path}")) };
    let frontend =
        Url::parse(frontend).map_err(|error| anyhow::anyhow!("FRONTEND_URL is not a valid URL: {error}"))?;
    reject_nul(field, &input)?;
    let url = Url::parse(&input).ok().filter(|url| {
        url.origin() == frontend.origin() && url.username().is_empty() && url.password().is_none()
    });
    let Some(url) = url else {
        let origin = frontend.origin().ascii_serialization();
        let message = format!("{field} must be a URL that begins with {origin}, without a user name.");
        return Err(Error::bad_input(field, message));
    };
    // Parsing has percent-encoded the braces of a placeholder in the path. Stripe recognizes only the decoded placeholder.
    let normalized = url.as_str().replace("%7BCHECKOUT_SESSION_ID%7D", SESSION_ID_PLACEHOLDER);
    let length = input.len().max(normalized.len());
    if length > MAX_LENGTH {
        let message =
            format!("{field} must be at most {MAX_LENGTH} bytes after percent-encoding; got {length}.");
        return Err(Error::bad_input(field, message));
    }
    Ok(normalized)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validate(input: &str) -> Result<String> {
        return_url_or_default("https://chat.example", Some(input.to_owned()), "/default", "successUrl")
    }

    #[test]
    fn without_input_the_default_path_of_the_front_end_is_returned() {
        let url = return_url_or_default("https://chat.example", None, "/default", "successUrl");
        assert_eq!(url.unwrap(), "https://chat.example/default");
    }

    /// The expected URLs follow <https://url.spec.whatwg.org/>.
    #[test]
    fn url_of_the_front_end_is_returned_as_browsers_parse_it() {
        for (input, expected) in [
            ("https://chat.example", "https://chat.example/"),
            ("https://CHAT.example:443/a", "https://chat.example/a"),
            ("https:\\\\chat.example\\@evil.example", "https://chat.example/@evil.example"),
            ("https://chat.example\\.evil.example", "https://chat.example/.evil.example"),
            (" https://chat.example/a\n\t/b ", "https://chat.example/a/b"),
            ("https://chat.example/a b?c d#e f", "https://chat.example/a%20b?c%20d#e%20f"),
            ("https://chat.example/x/../y", "https://chat.example/y"),
        ] {
            assert_eq!(validate(input).unwrap(), expected, "{input}");
        }
    }

    #[test]
    fn session_id_placeholder_is_not_encoded() {
        for url in
            ["https://chat.example/{CHECKOUT_SESSION_ID}", "https://chat.example/?s={CHECKOUT_SESSION_ID}"]
        {
            assert_eq!(validate(url).unwrap(), url);
        }
    }

    #[test]
    fn url_of_another_origin_or_with_a_user_name_is_rejected() {
        for input in [
            "https://evil.example/",
            "https://evil.example\\@chat.example/",
            "https://chat.example@evil.example/",
            "https://chat.example%2eevil.example/",
            "https://chat.example.evil.example/",
            "https://chat.example:8443/",
            "http://chat.example/",
            "https://me@chat.example/",
            "https://:word@chat.example/",
            "//chat.example/",
            "/relative",
            "javascript:alert(1)",
            "",
            "https://chat.example/\0",
        ] {
            let Err(Error::BadInput { field: "successUrl", .. }) = validate(input) else { panic!("{input}") };
        }
    }

    #[test]
    fn url_longer_than_2000_bytes_before_or_after_encoding_is_rejected() {
        let prefix = "https://chat.example/";
        assert!(validate(&format!("{prefix}{}", "x".repeat(2000 - prefix.len()))).is_ok());
        for path in ["x".repeat(2001 - prefix.len()), "é".repeat(700)] {
            assert!(validate(&format!("{prefix}{path}")).is_err(), "{}", path.len());
        }
    }
}
