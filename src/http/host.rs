//! The host that a request names: one, and where the server listens on loopback one of this machine's own names. A page whose
//! name is made to lead to 127.0.0.1 (DNS rebinding) is of the same origin as the server and could do whatever a local page
//! may, but its requests carry its own name.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{Extensions, HeaderMap, StatusCode, Uri, Version, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{api::Api, forwarded, refusal::forbidden};

/// Paths that any host may be asked for: they give nothing away, or check who calls by a signature.
const OF_ANY_HOST: [&str; 3] = ["/health/live", "/health/ready", "/webhook/stripe"];

/// The host of a request, with its port if it has one.
#[derive(Clone, Debug)]
pub(super) struct Host(Authority);

impl Host {
    pub(super) fn of(extensions: &Extensions) -> Option<&str> {
        extensions.get().map(|Self(host)| host.as_str())
    }
}

/// Refuses requests without a host, with several, and with one that is not served here.
pub(super) async fn check(State(api): State<Arc<Api>>, mut request: Request, next: Next) -> Response {
    let host = match read(request.uri(), request.headers(), request.version()) {
        Ok(host) => host,
        Err(message) => return (StatusCode::BAD_REQUEST, format!("{message}\n")).into_response(),
    };
    let peer = request.extensions().get().map(|ConnectInfo::<SocketAddr>(peer)| peer.ip());
    let is_proxied = forwarded::is_forwarded(request.headers())
        && peer.is_some_and(|peer| api.settings.is_trusted_proxy(peer.to_canonical()));
    let Some(host) = host else { return next.run(request).await };
    let frontend = api.billing.settings.frontend();
    if !is_proxied
        && !OF_ANY_HOST.contains(&request.uri().path())
        && !api.settings.allows_host(host.host(), frontend)
    {
        return forbidden(
            "This server listens on loopback and answers to local names only, such as localhost. For another name, add its \
             origin to CORS_ORIGINS, or name the proxy that forwards it in TRUSTED_PROXIES.",
        );
    }
    request.extensions_mut().insert(Host(host));
    next.run(request).await
}

/// The host by [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112#section-3.2), or over HTTP/2 by
/// [RFC 9113](https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1).
fn read(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<Option<Authority>, &'static str> {
    let mut hosts = headers.get_all(header::HOST).into_iter();
    let named = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err("A request must have one Host header."),
        (Some(host), None) if host.is_empty() => None,
        (Some(host), None) => {
            let host = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            Some(host.filter(|host| !host.as_str().contains('@')).ok_or("The Host header is not a host.")?)
        }
        (None, None) if version == Version::HTTP_11 => return Err("A request must have a Host header."),
        (None, None) => None,
    };
    match (uri.authority(), named) {
        (Some(target), _) if target.as_str().contains('@') => Err("The request's target is not a host."),
        (Some(target), Some(named)) if version == Version::HTTP_2 && *target != named => {
            Err("The Host header is not the :authority.")
        }
        (Some(target), _) => Ok(Some(target.clone())),
        (None, named) => Ok(named),
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn host(uri: &str, hosts: &[&'static str], version: Version) -> Result<Option<String>, &'static str> {
        let hosts = hosts.iter().map(|host| (header::HOST, HeaderValue::from_static(host)));
        let mut headers = HeaderMap::new();
        hosts.for_each(|(name, host)| {
            headers.append(name, host);
        });
        read(&uri.parse().unwrap(), &headers, version).map(|host| host.map(|host| host.to_string()))
    }

    #[test]
    fn a_request_has_one_valid_host() {
        let some = |host: &str| Ok(Some(host.to_owned()));
        for (uri, hosts, version, expected) in [
            ("/", &["a:80"][..], Version::HTTP_11, some("a:80")),
            ("http://b/", &["a"], Version::HTTP_11, some("b")),
            ("http://b/", &[], Version::HTTP_2, some("b")),
            ("http://b/", &["B"], Version::HTTP_2, some("b")),
            ("/", &[], Version::HTTP_10, Ok(None)),
            ("/", &[""], Version::HTTP_11, Ok(None)),
        ] {
            assert_eq!(host(uri, hosts, version), expected, "{uri} {hosts:?}");
        }
        for (uri, hosts, version) in [
            ("/", &[][..], Version::HTTP_11),
            ("/", &["a", "a"], Version::HTTP_11),
            ("/", &["a b"], Version::HTTP_11),
            ("/", &["user@a"], Version::HTTP_11),
            ("/", &["a/b"], Version::HTTP_11),
            ("http://b/", &["a"], Version::HTTP_2),
        ] {
            assert!(host(uri, hosts, version).is_err(), "{uri} {hosts:?}");
        }
    }
}
