//! The web page: which paths return it, its headers, and how its files are sent.

use reqwest::{
    RequestBuilder, Response, StatusCode,
    header::{ACCEPT, ACCEPT_ENCODING, IF_NONE_MATCH},
};

use crate::support::{TestApp, requirements::require_page};

const HTML: &str = "text/html,application/xhtml+xml,*/*;q=0.8";

fn get(app: &TestApp, path: &str) -> RequestBuilder {
    app.anonymous().http.get(format!("http://{}{path}", app.address))
}

async fn status(request: RequestBuilder) -> StatusCode {
    request.send().await.unwrap().status()
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn pages_load_resources_of_their_origin_only() {
    let app = TestApp::start().await;
    for path in ["/", "/c/0198c2c9-0000-7000-8000-000000000000", "/account", "/graphiql"] {
        let page = get(&app, path).header(ACCEPT, HTML).send().await.unwrap();
        assert_eq!(page.status(), 200, "{path}");
        assert!(header(&page, "content-type").starts_with("text/html"), "{path}");
        let policy = header(&page, "content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(policy.contains("script-src 'self';"), "{policy}");
        assert!(!policy.contains("http") && !policy.contains("unsafe-eval"), "{policy}");
        assert_eq!(policy.contains("unsafe-inline"), path == "/graphiql", "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(header(&page, name), value, "{name} of {path}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn navigation_to_an_unknown_path_gets_the_page_and_other_requests_404() {
    let app = TestApp::start().await;
    let page = get(&app, "/").header(ACCEPT, HTML).send().await.unwrap().text().await.unwrap();
    let navigation = get(&app, "/unknown").header(ACCEPT, HTML).send().await.unwrap();
    assert_eq!(navigation.status(), 200);
    assert!(header(&navigation, "content-type").starts_with("text/html"));
    assert_eq!(navigation.text().await.unwrap(), page);
    assert_eq!(status(get(&app, "/unknown").header(ACCEPT, "application/json")).await, 404);
    assert_eq!(status(get(&app, "/unknown")).await, 404);
    assert_eq!(status(get(&app, "/assets/unknown.js").header(ACCEPT, HTML)).await, 404);
    let url = format!("http://{}/unknown", app.address);
    assert_eq!(status(app.anonymous().http.post(url).header(ACCEPT, HTML)).await, 404);
    app.stop().await;
}

#[tokio::test]
async fn the_page_can_be_switched_off() {
    let app = TestApp::with_settings(&["--playground=off"]).await;
    for path in ["/", "/account", "/graphiql"] {
        assert_eq!(status(get(&app, path).header(ACCEPT, HTML)).await, 404, "{path}");
    }
    app.stop().await;
}

#[tokio::test]
async fn graphiql_is_off_without_introspection() {
    let app = TestApp::with_settings(&["--introspection=off"]).await;
    assert_eq!(status(get(&app, "/")).await, 200);
    assert_eq!(status(get(&app, "/graphiql").header(ACCEPT, HTML)).await, 404);
    app.stop().await;
}

#[tokio::test]
async fn files_are_sent_compressed_and_revalidated_by_their_etag() {
    require_page!();
    let app = TestApp::start().await;
    let page = get(&app, "/").send().await.unwrap();
    let tag = header(&page, "etag").to_owned();
    assert_eq!(status(get(&app, "/").header(IF_NONE_MATCH, tag)).await, 304);
    let html = page.text().await.unwrap();
    let module = html.split("<script type=\"module\"").nth(1).unwrap();
    let script = module.split("src=\"").nth(1).unwrap().split('"').next().unwrap();
    let plain = get(&app, script).send().await.unwrap();
    assert_eq!(header(&plain, "content-encoding"), "");
    assert_eq!(header(&plain, "content-type"), "text/javascript");
    assert_eq!(header(&plain, "cache-control"), "public, max-age=31536000, immutable");
    let size = plain.bytes().await.unwrap().len();
    for (accepted, coding) in [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("gzip, br;q=0", "gzip")] {
        let response = get(&app, script).header(ACCEPT_ENCODING, accepted).send().await.unwrap();
        assert_eq!(header(&response, "content-encoding"), coding, "{accepted}");
        assert_eq!(header(&response, "vary"), "accept-encoding");
        let tag = header(&response, "etag").to_owned();
        assert!(response.bytes().await.unwrap().len() < size / 2, "{accepted}");
        let revalidation = get(&app, script).header(ACCEPT_ENCODING, accepted).header(IF_NONE_MATCH, tag);
        assert_eq!(status(revalidation).await, 304, "{accepted}");
    }
    app.stop().await;
}
