//! Limits of documents, responses and batches, and rate limits.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::support::{
    Script, TestApp, TestUser,
    app::TestOptions,
    code_of,
    socket::{Socket, TEST_TIMEOUT},
};

/// Documents that exceed a limit, each with the name of the limit.
fn documents_over_a_limit() -> Vec<(&'static str, String)> {
    let users: Vec<_> = (0..30).map(|n| format!("a{n}: me {{ ...F }}")).collect();
    let spread = format!("{{ {} }} fragment F on User {{ {} }}", users.join(" "), "id ".repeat(70));
    let aliases: Vec<_> = (0..10_000).map(|n| format!("a{n}:me{{id}}")).collect();
    let deep = format!(
        "{{ node(id: \"x\") {{ ... on Message {{ {} id {} }} }} }}",
        "inReplyTo {".repeat(12),
        "}".repeat(12)
    );
    let circular =
        format!("{{ __schema {{ types {} name {} }} }}", "{ fields { type ".repeat(4) + "{", "}".repeat(9));
    let deep_type =
        format!("{{ __type(name: \"User\") {} }}", "{ name ofType ".repeat(16) + "{name}" + &"}".repeat(16));
    vec![
        ("fields", spread),
        ("tokens", format!("{{ {} }}", aliases.join(" "))),
        ("tokens", format!("{{{}}}", "a ".repeat(100_000 - 2))),
        ("aliases", format!("{{ {} }}", aliases[..31].join(" "))),
        ("depth", deep),
        ("nesting", format!("{{ me(x: {}{}) }}", "[".repeat(100), "]".repeat(100))),
        ("introspection lists", circular),
        ("introspection depth", deep_type),
    ]
}

/// The code of an error, and the limit that it names.
fn limit_of(error: &Value) -> (&str, &str) {
    let extensions = &error["extensions"];
    (extensions["code"].as_str().unwrap_or_default(), extensions["limit"].as_str().unwrap_or_default())
}

fn with_query(url: &str, name: &str, value: &str) -> url::Url {
    url::Url::parse_with_params(url, [(name, value)]).unwrap()
}

/// Sends a GraphQL request and returns the HTTP response.
async fn call(user: &TestUser, accept: &str, document: &str) -> reqwest::Response {
    let request = user.http.post(format!("http://{}/graphql", user.address)).header("accept", accept);
    request.json(&json!({ "query": document })).send().await.unwrap()
}

#[tokio::test]
async fn a_document_over_a_limit_is_rejected_on_every_transport() {
    let app = TestApp::with_settings(&["--rate-limits=off"]).await;
    let user = app.user().await;
    for (limit, document) in documents_over_a_limit() {
        let expected = ("QUERY_TOO_COMPLEX", limit);
        let plain = call(&user, "application/json", &document).await;
        let plain: Value = plain.json().await.unwrap();
        assert_eq!(limit_of(&plain["errors"][0]), expected);
        assert_eq!(plain.get("data"), None, "nothing was executed");
        let batch = json!([{"query": "{ __typename }"}, { "query": document }]);
        let batch = user.post(&batch).await;
        assert_eq!((code_of(&batch[0]), limit_of(&batch[1]["errors"][0])), ("no error", expected));
        let got = user.http.get(with_query(&app.url(), "query", &document));
        if document.len() < 8 * 1024 {
            let got: Value = got.send().await.unwrap().json().await.unwrap();
            assert_eq!(limit_of(&got["errors"][0]), expected);
        }
        for accept in ["text/event-stream", "multipart/mixed;subscriptionSpec=1.0"] {
            let response = call(&user, accept, &document).await.text().await.unwrap();
            let line = response.lines().find(|line| line.contains("QUERY_TOO_COMPLEX")).expect(accept);
            assert!(line.contains(&format!("\"limit\":\"{limit}\"")), "{line}");
        }
        let mut socket = user.socket().await;
        socket.subscribe("1", &document, &json!({})).await;
        let rejected = socket.next().await.unwrap();
        assert_eq!(rejected["type"], "error");
        assert_eq!(limit_of(&rejected["payload"][0]), expected);
        let mut legacy_socket = Socket::open(app.address, "graphql-ws", &[]).await.unwrap();
        legacy_socket.send(&json!({"type": "connection_init"})).await;
        legacy_socket.send(&json!({"type": "start", "id": "1", "payload": {"query": document}})).await;
        let message = loop {
            match legacy_socket.next().await {
                Ok(message) if message["type"] == "connection_ack" || message["type"] == "ka" => {}
                message => break message.unwrap(),
            }
        };
        assert_eq!(limit_of(&message["payload"]), expected);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_document_with_exponential_validation_cost_is_rejected_at_once() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let link = |n: usize| format!("fragment F{n} on Query {{ {} }}", format!("...F{} ", n + 1).repeat(29));
    let links: Vec<_> = (0..30).map(link).collect();
    let copy = |n| format!("a{n}: updateProfile(input: {{ fullName: $x }}) {{ user {{ id }} }}");
    let copies: Vec<_> = (0..20).map(copy).collect();
    for (query, variables, code) in [
        // Each fragment spreads the next one 29 times. The last one is undefined, so that validation must visit all spreads.
        (format!("{{ ...F0 }} {}", links.join(" ")), json!({}), "GRAPHQL_VALIDATION_FAILED"),
        (format!("{{ me(x: [\"\"\" \"]) {{ id }} }} {}", links.join(" ")), json!({}), "GRAPHQL_PARSE_FAILED"),
        (
            format!("mutation($x: String!) {{ {} }}", copies.join(" ")),
            json!({ "x": "x".repeat(100_000) }),
            "QUERY_TOO_COMPLEX",
        ),
        ("query($x: [Nope] = [1]) { __typename }".to_owned(), json!({}), "GRAPHQL_VALIDATION_FAILED"),
        (format!("{{ {}: __typename }}", "a".repeat(129)), json!({}), "QUERY_TOO_COMPLEX"),
    ] {
        let rejected = timeout(TEST_TIMEOUT, user.execute(&query, variables))
            .await
            .expect("validation did not finish in time");
        assert_eq!(code_of(&rejected), code, "{}", &query[..60.min(query.len())]);
        assert_eq!(rejected.get("data"), None);
    }
    app.stop().await;
}

#[tokio::test]
async fn complexity_batch_size_and_body_size_are_limited() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let pages = "{ chatrooms(first: 100) { nodes { messages(first: 100) { nodes { id content } } } } }";
    let complex = user.execute(pages, json!({})).await;
    let error = &complex["errors"][0];
    assert_eq!(limit_of(error), ("QUERY_TOO_COMPLEX", "complexity"));
    assert_eq!(error["extensions"]["max"], 2000);
    let batch = json!(vec![json!({ "query": TYPENAME }); 11]);
    assert_eq!(limit_of(&user.post(&batch).await["errors"][0]).1, "operations of a batch");
    let body = json!({"query": TYPENAME, "variables": {"x": "x".repeat(512 * 1024)}});
    assert_eq!(limit_of(&user.post(&body).await["errors"][0]).1, "bytes of the body");
    app.stop().await;
}

#[tokio::test]
async fn standard_introspection_queries_succeed() {
    let app = TestApp::start().await;
    // The introspection query of graphql-js, which GraphiQL and most tools send.
    let of_type = "kind name ofType { ".repeat(9) + "kind name" + &" }".repeat(9);
    let sent = format!(
        "query IntrospectionQuery {{ __schema {{ description queryType {{ name kind }} mutationType {{ name kind }}
         subscriptionType {{ name kind }} types {{ ...FullType }}
         directives {{ name description isRepeatable locations args(includeDeprecated: true) {{ ...InputValue }} }} }} }}
         fragment FullType on __Type {{ kind name description specifiedByURL
         fields(includeDeprecated: true) {{ name description args(includeDeprecated: true) {{ ...InputValue }}
         type {{ ...TypeRef }} isDeprecated deprecationReason }}
         inputFields(includeDeprecated: true) {{ ...InputValue }} interfaces {{ ...TypeRef }}
         enumValues(includeDeprecated: true) {{ name description isDeprecated deprecationReason }}
         possibleTypes {{ ...TypeRef }} }}
         fragment InputValue on __InputValue {{ name description type {{ ...TypeRef }} defaultValue isDeprecated
         deprecationReason }}
         fragment TypeRef on __Type {{ {of_type} }}"
    );
    let response = app.anonymous().data(&sent, json!({})).await;
    assert!(response["__schema"]["types"].as_array().unwrap().len() > 30);
    app.stop().await;
}

#[tokio::test]
async fn disabled_introspection_reveals_no_schema_names() {
    let app = TestApp::with_settings(&["--introspection=off"]).await;
    let anonymous = app.anonymous();
    for document in
        ["{ me { nope } }", "{ chatroom { id } }", "{ me }", "{ __type(name: \"User\") { name } }"]
    {
        let rejected = anonymous.execute(document, json!({})).await;
        let error = &rejected["errors"][0];
        assert_eq!(error["message"], "The document does not fit the schema of this server.", "{document}");
        assert!(error["locations"][0]["line"].is_number(), "{error}");
    }
    let page = anonymous.http.get(format!("http://{}/graphiql", app.address)).send().await.unwrap();
    assert_eq!(page.status(), 404);
    app.stop().await;
    let app = TestApp::start().await;
    let response = app.anonymous().execute("{ me { id nope } }", json!({})).await;
    assert_eq!(response["errors"][0]["message"], "Cannot query field \"nope\" on type \"User\".");
    assert_eq!(response["errors"][0]["locations"], json!([{"line": 1, "column": 11}]));
    app.stop().await;
}

#[tokio::test]
async fn response_batch_and_read_sizes_are_limited() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let long_text = "x".repeat(512 * 1024);
    app.gemini.respond_with(move |_| Script::new().text(&long_text).finish("STOP"));
    for _ in 0..17 {
        user.read(&chatroom.send("hi").await.reply).await;
    }
    let messages =
        "query($id: ID!, $n: Int) { chatroom(id: $id) { messages(last: $n) { nodes { content } } } }";
    let last = |n: i32| json!({"query": messages, "variables": {"id": chatroom.id, "n": n}});
    let rejected = user.post(&last(100)).await;
    assert_eq!(limit_of(&rejected["errors"][0]), ("QUERY_TOO_COMPLEX", "answer"));
    assert_eq!(code_of(&user.post(&last(30)).await), "no error");
    // Each operation reads ten long replies, and the second operation exceeds the limit of the batch.
    let batch = user.post(&json!([last(20), last(20)])).await;
    assert_eq!(code_of(&batch[0]), "no error");
    assert_eq!(limit_of(&batch[1]["errors"][0]), ("QUERY_TOO_COMPLEX", "answer"));
    let ids = "query($id: ID!) {
        a: chatroom(id: $id) { messages(last: 100) { nodes { id } } }
        b: chatroom(id: $id) { messages(last: 99) { nodes { id } } } }";
    let rejected = user.execute(ids, json!({ "id": chatroom.id })).await;
    assert_eq!(limit_of(&rejected["errors"][0]), ("QUERY_TOO_COMPLEX", "bytes read"));
    app.stop().await;
}

#[tokio::test]
async fn the_complexity_of_nested_alternatives_is_that_of_their_maximum_number() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("x").await;
    let first = chatroom.send("hi").await.reply;
    user.read(&first).await;
    let mut versions = vec![first];
    for _ in 0..3 {
        let next = user.regenerate(versions.last().unwrap()).await.unwrap().reply;
        user.read(&next).await;
        versions.push(next);
    }
    let nested = |depth: usize| {
        format!(
            "query($id: ID!) {{ node(id: $id) {{ ... on Message {{ {} id {} }} }} }}",
            "alternatives { ".repeat(depth),
            "}".repeat(depth)
        )
    };
    assert_eq!(user.error_code(&nested(2), json!({ "id": versions[0] })).await, "no error");
    let rejected = user.execute(&nested(3), json!({ "id": versions[0] })).await;
    assert_eq!(limit_of(&rejected["errors"][0]), ("QUERY_TOO_COMPLEX", "complexity"));
    let page = "query($id: ID!, $last: Int!, $before: ID) {
        node(id: $id) { ... on Message { alternatives(last: $last, before: $before) { id } } } }";
    let page = async |last: i32, before: Option<&String>| {
        let variables = json!({"id": versions[1], "last": last, "before": before});
        let response = user.execute(page, variables).await;
        let found = response["data"]["node"]["alternatives"].as_array().cloned();
        found.map(|found| {
            found.iter().map(|version| version["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(page(100, None).await.as_deref(), Some(&versions[..]));
    assert_eq!(page(2, None).await.as_deref(), Some(&versions[2..]));
    assert_eq!(page(2, Some(&versions[2])).await.as_deref(), Some(&versions[..2]));
    assert_eq!(page(0, None).await, None);
    assert_eq!(page(101, None).await, None);
    app.stop().await;
}

const MUTATION: &str = "mutation { logout { sessionsEnded } }";

/// A document with `count` mutations.
fn mutations(count: usize) -> String {
    let fields: Vec<_> =
        (0..count).map(|n| format!("a{n}: updateProfile(input: {{}}) {{ user {{ id }} }}")).collect();
    format!("mutation {{ {} }}", fields.join(" "))
}

#[tokio::test]
async fn mutations_are_rate_limited_per_user_with_headers() {
    let app = TestApp::with_stopped_clock().await;
    let user = app.user().await;
    let rename = "mutation { updateProfile(input: { fullName: \"x\" }) { user { id } } }";
    let headers = async || {
        let request = user.http.post(format!("http://{}/graphql", app.address)).bearer_auth(&user.token);
        let response = request.json(&json!({ "query": rename })).send().await.unwrap();
        let header = |name| response.headers()[name].to_str().unwrap().to_owned();
        (header("ratelimit-policy"), header("ratelimit"))
    };
    let policy = "\"mutations\";q=120;w=60".to_owned();
    assert_eq!(headers().await, (policy.clone(), "\"mutations\";r=119;t=60".to_owned()));
    // Each mutation of a document counts.
    for _ in 0..3 {
        user.data(&mutations(30), json!({})).await;
    }
    assert_eq!(headers().await.1, "\"mutations\";r=28;t=60");
    let partial = user.execute(&mutations(30), json!({})).await;
    assert_eq!(code_of(&partial), "RATE_LIMITED");
    assert_eq!(partial["errors"][0]["extensions"]["retryAfter"], 60);
    assert_eq!(partial["errors"][0]["path"], json!(["a28"]));
    assert_eq!(headers().await.1, "\"mutations\";r=0;t=60");
    assert_eq!(user.error_code("{ me { id } }", json!({})).await, "no error", "reading is not limited");
    app.advance(TimeDelta::seconds(60)).await;
    assert_eq!(user.error_code(rename, json!({})).await, "no error");
    app.stop().await;
}

#[tokio::test]
async fn users_of_one_address_share_a_rate_limit() {
    let app = TestApp::with_stopped_clock().await;
    // Five users send 120 mutations each, the limit of a user. Together these are 600, the limit of an address.
    for _ in 0..5 {
        let user = app.user().await;
        for _ in 0..4 {
            user.data(&mutations(30), json!({})).await;
        }
    }
    let sixth = app.user().await;
    assert_eq!(sixth.error_code(&mutations(1), json!({})).await, "RATE_LIMITED");
    app.advance(TimeDelta::seconds(60)).await;
    sixth.data(&mutations(30), json!({})).await;
    app.stop().await;
}

#[tokio::test]
async fn anonymous_calls_are_rate_limited_by_address_behind_trusted_proxies() {
    let clock = pollux::clock::Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap());
    for (settings, code_of_other_addresses) in
        [(vec!["--trusted-proxies=127.0.0.1"], "UNAUTHENTICATED"), (vec![], "RATE_LIMITED")]
    {
        let app = TestApp::with(TestOptions {
            settings: &settings,
            clock: Some(clock.clone()),
            ..TestOptions::default()
        })
        .await;
        let anonymous = app.anonymous();
        let from = async |address: &str| {
            let request = anonymous.http.post(format!("http://{}/graphql", app.address));
            let request = request.header("x-forwarded-for", address).json(&json!({ "query": MUTATION }));
            code_of(&request.send().await.unwrap().json().await.unwrap()).to_owned()
        };
        for _ in 0..60 {
            assert_eq!(from("2001:db8:0:1::1").await, "UNAUTHENTICATED");
        }
        assert_eq!(from("2001:db8:0:1::2").await, "RATE_LIMITED", "an address of the same network");
        assert_eq!(from("2001:db8:0:2::1").await, code_of_other_addresses, "{settings:?}");
        let same_network = from("[2001:db8:0:1::3]:4711").await;
        assert_eq!(same_network, "RATE_LIMITED", "in brackets, with a port");
        for other in ["198.51.100.7:5678", "[2001:db8:0:3::1]", "[2001:db8:0:4::1]:443"] {
            assert_eq!(from(other).await, code_of_other_addresses, "{other}");
        }
        app.stop().await;
    }
}

const TYPENAME: &str = "{ __typename }";
