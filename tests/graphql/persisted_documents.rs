//! Automatic persisted queries and trusted documents.

use serde_json::{Value, json};

use crate::support::{TestApp, code_of, socket::Socket};

fn with_query(url: &str, name: &str, value: &str) -> url::Url {
    url::Url::parse_with_params(url, [(name, value)]).unwrap()
}

fn persisted(hash: &str) -> Value {
    json!({"persistedQuery": {"version": 1, "sha256Hash": hash}})
}

const TYPENAME: &str = "{ __typename }";
/// The SHA-256 hash of [`TYPENAME`].
const TYPENAME_HASH: &str = "7f56e67dd21ab3f30d1ff8b7bed08893f0a0db86449836189b361dd1e56ddb4b";

#[tokio::test]
async fn a_registered_document_is_found_by_its_hash() {
    let app = TestApp::start().await;
    let anonymous = app.anonymous();
    let by_hash = json!({ "extensions": persisted(TYPENAME_HASH) });
    let unknown = anonymous.post(&by_hash).await;
    assert_eq!(code_of(&unknown), "PERSISTED_QUERY_NOT_FOUND");
    assert_eq!(
        unknown["errors"][0]["message"], "PersistedQueryNotFound",
        "the message that Apollo's clients expect"
    );
    let forged =
        anonymous.post(&json!({"query": "{ me { id } }", "extensions": persisted(TYPENAME_HASH)})).await;
    assert_eq!(code_of(&forged), "BAD_USER_INPUT");
    let sent = anonymous.post(&json!({"query": TYPENAME, "extensions": persisted(TYPENAME_HASH)})).await;
    let response = json!({"data": {"__typename": "Query"}});
    assert_eq!(sent, response);
    assert_eq!(anonymous.post(&by_hash).await, response);
    let url = with_query(&app.url(), "extensions", &persisted(TYPENAME_HASH).to_string());
    let got = anonymous.http.get(url).send().await.unwrap().json::<Value>().await.unwrap();
    assert_eq!(got, response);
    let mut socket = app.user().await.socket().await;
    socket.send(&json!({"type": "subscribe", "id": "1", "payload": by_hash})).await;
    assert_eq!(socket.next().await.unwrap()["payload"], response);
    app.stop().await;
}

#[tokio::test]
async fn only_trusted_documents_are_executed_if_configured() {
    let directory = tempfile::TempDir::new().unwrap();
    let apollo = json!({"format": "apollo-persisted-query-manifest", "version": 1, "operations": [
        {"id": TYPENAME_HASH, "name": "Typename", "type": "query", "body": TYPENAME}]});
    let relay = json!({"my-id": TYPENAME});
    for (manifest, id) in [(apollo, TYPENAME_HASH), (relay, "my-id")] {
        let file = directory.path().join("manifest.json");
        std::fs::write(&file, manifest.to_string()).unwrap();
        let file = format!("--persisted-queries-file={}", file.display());
        let app = TestApp::with_settings(&["--persisted-queries=only", &file]).await;
        let anonymous = app.anonymous();
        let response = json!({"data": {"__typename": "Query"}});
        assert_eq!(anonymous.post(&json!({ "extensions": persisted(id) })).await, response);
        assert_eq!(
            anonymous.post(&json!({ "query": TYPENAME })).await,
            response,
            "the text of a trusted document is also accepted"
        );
        let untrusted = json!({"query": "{ me { id } }"});
        assert_eq!(code_of(&anonymous.post(&untrusted).await), "PERSISTED_QUERY_ONLY");
        let mut socket = Socket::open(app.address, "graphql-transport-ws", &[]).await.unwrap();
        socket.send(&json!({"type": "connection_init"})).await;
        socket.next().await.unwrap();
        socket.subscribe("1", "{ me { id } }", &json!({})).await;
        let message = socket.next().await.unwrap();
        assert_eq!(message["payload"][0]["extensions"]["code"], "PERSISTED_QUERY_ONLY");
        app.stop().await;
    }
}
