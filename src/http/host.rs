//! Checks the host of a request, by two rules:
//!
//! 1. A request must have at most one Host header, and over HTTP/1.1 exactly one.
//! 2. If the server listens on a loopback address, the host must be a local name or one that the settings allow.
//!
//! The second rule prevents DNS rebinding: a browser considers a page whose domain resolves to 127.0.0.1 to be of the same origin
//! as the server, but the page's requests still carry its domain as their host. A request without a host passes the second rule,
//! because browsers always send a host.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, StatusCode, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{api::Api, forwarded, rejection::forbidden};

/// Paths that are served for any host, because they disclose nothing or verify a signature.
const SERVED_FOR_ANY_HOST: [&str; 3] = ["/health/live", "/health/ready", "/webhook/stripe"];

/// The host of a request, with its port if it has one.
#[derive(Clone, Debug)]
pub(super) struct Host(Authority);

impl Host {
    pub(super) fn of(extensions: &Extensions) -> Option<&str> {
        extensions.get().map(|Self(host)| host.as_str())
    }
}

/// Rejects a request whose Host headers are invalid, or whose host is not allowed.
pub(super) async fn check(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let host = match parse(request.uri(), request.headers(), request.version()) {
        Ok(host) => host,
        Err(message) => return (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response(),
    };
    let peer = request.extensions().get().map(|ConnectInfo::<SocketAddr>(peer)| peer.ip());
    let is_proxied = forwarded::is_forwarded(request.headers())
        && peer.is_some_and(|peer| api.settings.is_trusted_proxy(peer.to_canonical()));
    let Some(host) = host else { return next.run(request).await };
    let frontend = api.billing.settings.frontend();
    if !is_proxied
        && !SERVED_FOR_ANY_HOST.contains(&request.uri().path())
        && !api.settings.allows_host(host.host(), frontend)
    {
        return forbidden(
            "This server listens on a loopback address and accepts only local host names, such as localhost. To allow \
             another name, add its origin to CORS_ORIGINS, or add the proxy that forwards it to TRUSTED_PROXIES.",
        );
    }
    request.extensions_mut().insert(Host(host));
    next.run(request).await
}

/// Parses the host by [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-3.2), or over HTTP/2 by
/// [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1).
fn parse(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Option<Authority>, &'static str> {
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let from_header = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err("A request must have one Host header."),
        (Some(host), None) if host.is_empty() => None,
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            Some(host.filter(|host| !host.as_str().contains('@')).ok_or("The Host header is invalid.")?)
        }
        (None, None) if version == Version::HTTP_11 => return Err("A request must have a Host header."),
        (None, None) => None,
    };
    match (uri.authority(), from_header) {
        (Some(target), _) if target.as_str().contains('@') => {
            Err("The host in the request target is invalid.")
        }
        (Some(target), Some(host)) if version == Version::HTTP_2 && *target != host => {
            Err("The Host header and :authority differ.")
        }
        (Some(target), _) => Ok(Some(target.clone())),
        (None, from_header) => Ok(from_header),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn parsed_host(
        uri: &str,
        hosts: &[&'static str],
        version: Version,
    ) -> Result<Option<String>, &'static str> {
        let hosts = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
        let mut headers = HeaderMap::new();
        hosts.for_each(|(name, host)| {
            headers.append(name, host);
        });
        parse(&uri.parse().unwrap(), &headers, version).map(|host| host.map(|host| host.to_string()))
    }

    #[test]
    fn requests_with_missing_repeated_or_invalid_hosts_are_rejected() {
        let some = |host: &str| Ok(Some(host.to_owned()));
        for (uri, hosts, version, expected) in [
            ("/", &["a:80"][..], Version::HTTP_11, some("a:80")),
            ("http://b/", &["a"], Version::HTTP_11, some("b")),
            ("http://b/", &[], Version::HTTP_2, some("b")),
            ("http://b/", &["B"], Version::HTTP_2, some("b")),
            ("/", &[], Version::HTTP_10, Ok(None)),
            ("/", &[""], Version::HTTP_11, Ok(None)),
        ] {
            assert_eq!(parsed_host(uri, hosts, version), expected, "{uri} {hosts:?}");
        }
        for (uri, hosts, version) in [
            ("/", &[][..], Version::HTTP_11),
            ("/", &["a", "a"], Version::HTTP_11),
            ("/", &["a b"], Version::HTTP_11),
            ("/", &["user@a"], Version::HTTP_11),
            ("/", &["a/b"], Version::HTTP_11),
            ("http://b/", &["a"], Version::HTTP_2),
        ] {
            assert!(parsed_host(uri, hosts, version).is_err(), "{uri} {hosts:?}");
        }
    }
}
