//! Where people go on after Stripe's pages: the front end, and nowhere else, so that nobody is led astray.

use url::Url;

use crate::error::{Error, Result};

const LONGEST: usize = 2000;

/// The URL, if it is of the front end's origin; `path` of the front end without one.
pub fn of_frontend(frontend: &str, given: Option<String>, path: &str, field: &'static str) -> Result<String> {
    let Some(given) = given else { return Ok(format!("{frontend}{path}")) };
    let own =
        Url::parse(frontend).map_err(|cause| anyhow::anyhow!("FRONTEND_URL cannot be read: {cause}"))?;
    if given.len() > LONGEST {
        return Err(Error::bad_input(field, format!("{field} is longer than {LONGEST} bytes.")));
    }
    match Url::parse(&given) {
        Ok(url) if url.origin() == own.origin() && url.username().is_empty() && url.password().is_none() => {
            Ok(given)
        }
        _ => {
            let origin = own.origin().ascii_serialization();
            Err(Error::bad_input(field, format!("{field} must be a URL that begins with {origin}.")))
        }
    }
}
