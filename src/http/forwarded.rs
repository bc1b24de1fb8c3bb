//! The client addresses that proxies record in the headers X-Forwarded-For and Forwarded.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header::FORWARDED};

use super::headers::split_unquoted;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Whether the request has a header that proxies add. A client can send such a header, too.
pub(super) fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// The addresses that proxies recorded, in the order in which the request passed the proxies, so the client's address comes
/// first. `None` stands for an entry that is not an IP address. If both headers are present, only X-Forwarded-For is read and not
/// [Forwarded](https://www.rfc-editor.org/rfc/rfc7239): a proxy that sets one of them may pass on the other one, which the client
/// may have forged.
pub(super) fn addresses(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let values = |name: HeaderName| {
        headers.get_all(name).into_iter().map(HeaderValue::to_str).collect::<Vec<_>>().into_iter()
    };
    if headers.contains_key(FORWARDED_FOR) {
        let lines = values(FORWARDED_FOR).map(Result::unwrap_or_default);
        return lines.flat_map(|line| line.split(',').map(parse_address)).collect();
    }
    let lines = values(FORWARDED).map(Result::unwrap_or_default);
    lines.flat_map(|line| split_unquoted(line, ',').map(forwarded_for)).collect()
}

/// The address in the `for` parameter of one element of a Forwarded header.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut pairs = split_unquoted(element, ';').filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))
        .and_then(|(_, value)| parse_address(value))
}

/// Parses an address with or without quotes, brackets and a port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim().trim_matches('"').trim();
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (port.is_empty() || port.starts_with(':')).then(|| address.parse().ok().map(IpAddr::V6))?
        }
        None => text.split_once(':').and_then(|(address, _)| address.parse().ok().map(IpAddr::V4)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: HeaderName, value: &'static str) -> Vec<Option<String>> {
        let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
        addresses(&headers).iter().map(|address| address.map(|address| address.to_string())).collect()
    }

    #[test]
    fn addresses_with_ports_and_brackets_are_parsed() {
        for (text, expected) in [
            ("1.2.3.4", Some("1.2.3.4")),
            ("1.2.3.4:5678", Some("1.2.3.4")),
            (" [::1]:1234", Some("::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("\"[2001:db8::1]:4711\"", Some("2001:db8::1")),
            ("\"1.2.3.4:80\"", Some("1.2.3.4")),
            ("unknown", None),
            ("[::1]x", None),
            ("1.2.3", None),
            ("", None),
        ] {
            assert_eq!(read(FORWARDED_FOR, text), [expected.map(str::to_owned)], "{text}");
        }
    }

    #[test]
    fn every_element_of_forwarded_is_parsed() {
        let text =
            "for=192.0.2.60;proto=http;by=203.0.113.43, For=\"[2001:db8:cafe::17]:4711\", for=_hidden, by=x";
        let expected = ["192.0.2.60", "2001:db8:cafe::17"].map(|address| Some(address.to_owned()));
        let read = read(FORWARDED, text);
        assert_eq!((&read[..2], &read[2..]), (&expected[..], &[None, None][..]));
    }

    #[test]
    fn x_forwarded_for_takes_precedence_over_forwarded() {
        let headers = HeaderMap::from_iter([
            (FORWARDED, HeaderValue::from_static("for=198.51.100.1")),
            (FORWARDED_FOR, HeaderValue::from_static("198.51.100.2")),
        ]);
        assert_eq!(addresses(&headers), ["198.51.100.2".parse().ok()]);
    }
}
