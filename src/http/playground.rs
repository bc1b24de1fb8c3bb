//! The web pages: a chat at `/` and GraphiQL at `/graphiql`. `make page` builds them from `playground/`. A release binary
//! contains the built files; a debug binary reads them from the source tree.

use std::borrow::Cow;

use axum::{
    Router,
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use rust_embed::{Embed, EmbeddedFile};

use super::headers::text;

/// The built files. There are none until `make page` has run.
#[derive(Embed)]
#[folder = "playground/dist"]
#[allow_missing = true]
struct Files;

/// The chat may load only its own files, and images that its style sheets contain as `data:` URLs.
const CHAT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; \
     manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// GraphiQL also sets styles at run time, has fonts as `data:` URLs in its style sheet, and runs the language services of its
/// editor in workers.
const GRAPHIQL_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
     connect-src 'self'; worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);
/// For pages: a browser asks on each use whether the file with this ETag is current, so that it never runs an old version.
const REVALIDATED: HeaderValue = HeaderValue::from_static("no-cache");
/// For assets, whose names contain the hash of their content: browsers cache them for a year.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");

/// The prefix of the paths of shared chatrooms, which search engines must not index.
const SHARED_PREFIX: &str = "/share/";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Pollux</title>\
    <h1>Pollux is running</h1><p>The GraphQL API is at <code>/graphql</code>. This page is not built yet: run \
    <code>make page</code> (it requires Node 20.19 or later), then restart the server.</p></html>";

/// The routes of the pages. If they are not served, every path without another route returns 404.
pub(super) fn router<S: Clone + Send + Sync + 'static>(
    is_served: bool,
    allows_introspection: bool,
) -> Router<S> {
    if !is_served {
        return Router::new().fallback(not_found);
    }
    let graphiql = if allows_introspection { get(graphiql) } else { get(graphiql_disabled) };
    Router::new()
        .route("/graphiql", graphiql)
        .route("/assets/{name}", get(asset))
        .route("/licenses.txt", get(asset))
        .fallback(chat)
}

/// Serves the chat at `/` and at every other path to which a browser navigates, because the chat handles such paths itself.
async fn chat(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let is_navigation = matches!(method, Method::GET | Method::HEAD)
        && (uri.path() == "/"
            || text(&headers, &header::ACCEPT).is_some_and(|accept| accept.contains("text/html")));
    if !is_navigation {
        return not_found().await;
    }
    let mut response = page("index.html", &CHAT_POLICY, &headers);
    if uri.path().starts_with(SHARED_PREFIX) {
        response.headers_mut().insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    }
    response
}

async fn graphiql(headers: HeaderMap) -> Response {
    page("graphiql.html", &GRAPHIQL_POLICY, &headers)
}

async fn graphiql_disabled() -> Response {
    let problem = "GraphiQL needs introspection, which is disabled on this server (INTROSPECTION=off).\n";
    (StatusCode::NOT_FOUND, problem).into_response()
}

/// A file that the pages load.
async fn asset(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    let cache = if path.starts_with("assets/") { IMMUTABLE } else { REVALIDATED };
    match file(path, &headers) {
        Some(response) => ([(header::CACHE_CONTROL, cache)], response).into_response(),
        None => not_found().await,
    }
}

async fn not_found() -> Response {
    StatusCode::NOT_FOUND.into_response()
}

/// The response with a page and its security headers. If the page is not built, its body explains how to build it.
fn page(path: &str, policy: &HeaderValue, headers: &HeaderMap) -> Response {
    let response = file(path, headers).unwrap_or_else(|| Html(NOT_BUILT).into_response());
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy.clone()),
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, REVALIDATED),
    ];
    (headers, response).into_response()
}

/// The response with a built file, in the best encoding that the client accepts, or a 304 if the client has it. None if the file
/// does not exist.
fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let original = Files::get(path)?;
    let encoded = [("br", "br"), ("gzip", "gz")].into_iter().find_map(|(coding, extension)| {
        let file =
            accepts_encoding(headers, coding).then(|| Files::get(&format!("{path}.{extension}")))??;
        Some((coding, file))
    });
    let content_type = original.metadata.mimetype().to_owned();
    let (coding, file) = encoded.map_or((None, original), |(coding, file)| (Some(coding), file));
    let tag = etag(&file);
    let common =
        [(header::ETAG, header_value(&tag)), (header::VARY, HeaderValue::from_static("accept-encoding"))];
    if text(headers, &header::IF_NONE_MATCH).is_some_and(|tags| tags.contains(&tag)) {
        return Some((StatusCode::NOT_MODIFIED, common).into_response());
    }
    let body = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    };
    let mut response =
        (common, [(header::CONTENT_TYPE, header_value(&content_type))], Body::from(body)).into_response();
    if let Some(coding) = coding {
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
    }
    Some(response)
}

/// Whether the client accepts a content coding, by [RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3).
fn accepts_encoding(headers: &HeaderMap, coding: &str) -> bool {
    let Some(accepted) = text(headers, &header::ACCEPT_ENCODING) else { return false };
    accepted.split(',').any(|element| {
        let (name, parameters) = element.split_once(';').unwrap_or((element, ""));
        let quality = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case(coding) && quality.is_ok_and(|quality| quality > 0.0)
    })
}

/// The hash of the file in the encoding in which it is sent.
fn etag(file: &EmbeddedFile) -> String {
    format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]))
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coding_is_accepted_if_the_header_lists_it_with_a_quality_above_zero() {
        for (header, accepted) in [
            (None, false),
            (Some("gzip, deflate, br, zstd"), true),
            (Some("gzip,BR;q=0.5"), true),
            (Some("br; q=0, gzip"), false),
            (Some("gzip"), false),
            (Some("br;q=x"), false),
        ] {
            let headers = header.map(|header| (header::ACCEPT_ENCODING, HeaderValue::from_static(header)));
            let headers = headers.into_iter().collect();
            assert_eq!(accepts_encoding(&headers, "br"), accepted, "{header:?}");
        }
    }
}
