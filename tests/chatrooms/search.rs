//! Searching messages.

use std::fmt::Write;

use chrono::TimeDelta;
use sea_orm::ConnectionTrait;
use serde_json::{Value, json};

use crate::support::{Gate, Script, TestApp, TestUser, code_of};

const SEARCH: &str = "query($query: String!, $chatroomId: ID, $first: Int, $after: String) {
    search(query: $query, chatroomId: $chatroomId, first: $first, after: $after) {
        edges { cursor snippet highlights { start end } node { id content role chatroom { title } } }
        nodes { id }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

pub(super) async fn search(user: &TestUser, variables: Value) -> Value {
    user.data(SEARCH, variables).await["search"].take()
}

/// Returns the contents of the messages that a search finds, best first.
pub(super) async fn find(user: &TestUser, query: &str) -> Vec<String> {
    contents(&search(user, json!({ "query": query })).await)
}

fn contents(connection: &Value) -> Vec<String> {
    let edges = connection["edges"].as_array().unwrap().iter();
    edges.map(|edge| edge["node"]["content"].as_str().unwrap().to_owned()).collect()
}

/// Sends messages to a new chatroom, each of which gets the reply `ok`, and returns the chatroom's id.
pub(super) async fn send_all(app: &TestApp, user: &TestUser, contents: &[&str]) -> String {
    let chatroom = user.create_chatroom("x").await;
    for content in contents {
        app.gemini.enqueue(Script::reply(["ok"]));
        let sent = chatroom.send(content).await;
        user.read(&sent.reply).await;
    }
    chatroom.id
}

#[tokio::test]
async fn words_of_any_script_are_found_by_their_beginning_and_without_accents() {
    let app = TestApp::with_settings(&["--basic-daily-limit=100"]).await;
    let (user, other) = (app.user().await, app.user().await);
    let texts = [
        "来週は東京都の天気を調べてください",
        "ฉันอยากเรียนภาษาไทยที่บ้าน",
        "Die Straße zum Café Ärger",
        "Planning the migration to PostgreSQL 17",
        "Привет, ёлка",
        "안녕하세요 여러분",
        "إعداد مُحَمَّد",
    ];
    send_all(&app, &user, &texts).await;
    send_all(&app, &other, &["東京都 cafe planning strasse"]).await;
    for (query, expected) in [
        ("東京", 0),
        ("天気を", 0),
        ("天", 0),
        ("い", 0),
        ("ภาษาไทย", 1),
        ("cafe", 2),
        ("STRASSE", 2),
        ("arger café", 2),
        ("plan", 3),
        ("postgres migr", 3),
        ("17", 3),
        ("елка", 4),
        ("안녕", 5),
        ("محمد", 6),
    ] {
        assert_eq!(find(&user, query).await, [texts[expected]], "{query}");
    }
    // Nothing is found: words match only from their beginning, all words must be in one message of the user, and the last queries
    // contain no word.
    for query in ["京都は", "lanning", "planning cafe", "東西", "", " ", "?!", "👍"] {
        assert_eq!(find(&user, query).await, [""; 0], "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn every_version_of_a_message_and_ended_replies_are_found_until_they_are_deleted() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let chatroom = user.create_chatroom("kept").await;
    app.gemini.enqueue(Script::reply(["An answer about ", "zebras"]));
    let first = chatroom.send("first zebra").await;
    user.read(&first.reply).await;
    let gate = Gate::closed();
    app.gemini.enqueue(Script::new().text("Half an answer about zebras").wait(&gate).finish("STOP"));
    let edited = user.edit(&first.message, "edited zebra").await.unwrap();
    user.follow(&edited.reply, None).await.read_until("zebras").await;
    // The reply is still being written, but the message before it is found.
    let before = ["edited zebra", "first zebra", "An answer about zebras"];
    assert_eq!(find(&user, "zebra").await, before);
    let stop = "mutation($input: StopReplyInput!) { stopReply(input: $input) { message { id } } }";
    user.data(stop, json!({"input": {"messageId": edited.reply}})).await;
    user.read(&edited.reply).await;
    gate.open();
    assert_eq!(find(&user, "zebra").await[3..], ["Half an answer about zebras"]);
    let temporary = user.create_chatroom_with(json!({"title": "temporary", "temporary": true})).await;
    let sent = temporary.send("temporary zebra").await;
    user.read(&sent.reply).await;
    assert_eq!(find(&user, "zebra").await.len(), 4);
    let archive =
        "mutation($input: UpdateChatroomInput!) { updateChatroom(input: $input) { chatroom { id } } }";
    user.data(archive, json!({"input": {"id": chatroom.id, "archived": true}})).await;
    assert_eq!(find(&user, "zebra").await.len(), 4);
    let delete = "mutation($input: DeleteChatroomInput!) { deleteChatroom(input: $input) { deletedId } }";
    user.data(delete, json!({"input": {"id": chatroom.id}})).await;
    assert_eq!(find(&user, "zebra").await, [""; 0]);
    let remaining = count_index_rows(&app).await;
    assert_eq!(remaining, 0, "deleted messages are left in the index");
    app.stop().await;
}

async fn count_index_rows(app: &TestApp) -> i64 {
    let db = app.chatrooms.db.read();
    let statement = sea_orm::Statement::from_string(
        db.get_database_backend(),
        "SELECT count(*) AS rows FROM search_entries",
    );
    db.query_one_raw(statement).await.unwrap().unwrap().try_get("", "rows").unwrap()
}

#[tokio::test]
async fn a_search_in_one_chatroom_finds_only_its_messages() {
    let app = TestApp::start().await;
    let (user, other) = (app.user().await, app.user().await);
    let chatroom = send_all(&app, &user, &["apple one"]).await;
    send_all(&app, &user, &["apple two"]).await;
    let others_chatroom = send_all(&app, &other, &["apple other"]).await;
    let page = search(&user, json!({"query": "apple", "chatroomId": chatroom})).await;
    assert_eq!(contents(&page), ["apple one"]);
    for id in [others_chatroom.as_str(), "nonsense"] {
        let response = user.execute(SEARCH, json!({"query": "apple", "chatroomId": id})).await;
        assert_eq!(code_of(&response), "NOT_FOUND");
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_contain_each_match_once_while_messages_are_added() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1000"]).await;
    let user = app.user().await;
    let texts: Vec<String> = (0..25)
        .map(|n| format!("{}{}", "apple ".repeat(n % 3 + 1), "pear ".repeat(n % 4)).trim().to_owned())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    send_all(&app, &user, &texts).await;
    let first_page = find(&user, "apple").await;
    assert_eq!(first_page.len(), 20, "a page has 20 matches by default");
    let all_matches = search(&user, json!({"query": "apple", "first": 100})).await;
    let all_matches: Vec<&Value> = all_matches["nodes"].as_array().unwrap().iter().collect();
    assert_eq!(all_matches.len(), 25);
    assert_eq!(first_page[0], "apple apple apple");
    let (mut pages, mut after) = (Vec::new(), Value::Null);
    loop {
        let mut page = search(&user, json!({"query": "apple", "first": 4, "after": after})).await;
        assert_eq!(page["pageInfo"]["hasPreviousPage"], json!(!after.is_null()));
        pages.extend(page["nodes"].as_array().unwrap().clone());
        after = page["pageInfo"]["endCursor"].take();
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
        send_all(&app, &user, &["apple apple apple apple", "apple"]).await;
    }
    assert_eq!(pages.iter().collect::<Vec<_>>(), all_matches);
    app.stop().await;
}

#[tokio::test]
async fn highlights_are_the_matching_words_in_utf16_code_units() {
    let app = TestApp::start().await;
    let user = app.user().await;
    let long = format!("{}👩‍👩‍👧‍👦🇩🇪 the Café is open {}", "😀 words before ".repeat(40), "and after ".repeat(40));
    send_all(&app, &user, &[&long]).await;
    let page = search(&user, json!({"query": "open cafe"})).await;
    let edge = &page["edges"][0];
    let snippet = edge["snippet"].as_str().unwrap();
    let units: Vec<u16> = snippet.encode_utf16().collect();
    let highlighted: Vec<String> = edge["highlights"]
        .as_array()
        .unwrap()
        .iter()
        .map(|range| {
            let position = |name: &str| usize::try_from(range[name].as_i64().unwrap()).unwrap();
            String::from_utf16(&units[position("start")..position("end")]).unwrap()
        })
        .collect();
    assert_eq!(highlighted, ["Café", "open"], "{snippet}");
    // At most 160 characters of the message, between two ellipses.
    assert!(
        snippet.starts_with('…') && snippet.ends_with('…') && snippet.chars().count() <= 162,
        "{snippet}"
    );
    assert!(long.contains(snippet.trim_matches('…')));
    app.stop().await;
}

#[tokio::test]
async fn invalid_arguments_are_rejected_and_searches_are_limited_per_user() {
    let app = TestApp::with_stopped_clock().await;
    let (user, other) = (app.user().await, app.user().await);
    for (variables, field) in [
        (json!({"query": "x".repeat(257)}), "query"),
        (json!({"query": "x", "first": 101}), "first"),
        (json!({"query": "x", "after": "nonsense"}), "after"),
    ] {
        let response = user.execute(SEARCH, variables).await;
        assert_eq!(code_of(&response), "BAD_USER_INPUT");
        assert_eq!(response["errors"][0]["extensions"]["field"], field);
    }
    assert_eq!(code_of(&app.anonymous().execute(SEARCH, json!({"query": "x"})).await), "UNAUTHENTICATED");
    for _ in 0..240 {
        find(&user, "x").await;
    }
    assert_eq!(code_of(&user.execute(SEARCH, json!({"query": "x"})).await), "RATE_LIMITED");
    assert_eq!(find(&other, "x").await, [""; 0]);
    app.advance(TimeDelta::minutes(1)).await;
    assert_eq!(find(&user, "x").await, [""; 0]);
    app.stop().await;
}

#[tokio::test]
async fn no_query_text_causes_an_error() {
    const PARTS: &[&str] = &[
        "\"",
        "'",
        "*",
        "^",
        "(",
        ")",
        ":",
        "-",
        "+",
        "\\",
        "|",
        "&",
        "!",
        "<->",
        "NEAR(",
        "AND",
        "OR",
        "NOT",
        " ",
        "\0",
        "\u{1}",
        "\u{7f}",
        "\n",
        "§",
        "👍🏽",
        "👩‍👩‍👧",
        "\u{301}",
        "é",
        "東京",
        "ก",
        "a",
        "zebra",
        "12",
        "%",
        "_",
        "$1",
        ";--",
        "\u{200d}",
        "\u{202e}",
        "ﷺ",
        "{",
        "}",
        "[",
        "tokens:",
        "İ",
        "ß",
        "\u{10ffff}",
        "ｶﾞ",
    ];
    let app = TestApp::with_settings(&["--rate-limits=off"]).await;
    let user = app.user().await;
    send_all(&app, &user, &["a zebra 12 東京 é"]).await;
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..300 {
        let mut query = String::new();
        for _ in 0..random.usize(0..12) {
            query.write_str(random.choice(PARTS).unwrap()).unwrap();
        }
        let response = user.execute(SEARCH, json!({ "query": query })).await;
        assert!(response.get("errors").is_none(), "seed {seed}, {query:?}: {response}");
    }
    assert_eq!(find(&user, "zebra").await, ["a zebra 12 東京 é"]);
    app.stop().await;
}

#[tokio::test]
async fn a_search_executes_the_same_number_of_statements_for_any_number_of_matches() {
    let app = TestApp::with_settings(&["--basic-daily-limit=1000", "--chatroom-titles=off"]).await;
    let user = app.user().await;
    let texts: Vec<String> = (0..12).map(|n| format!("apple {n}")).collect();
    for text in &texts {
        send_all(&app, &user, &[text]).await;
    }
    let mut counts = Vec::new();
    for first in [2, 12] {
        search(&user, json!({"query": "apple", "first": first})).await;
        app.statements.lock().unwrap().clear();
        let page = search(&user, json!({"query": "apple", "first": first})).await;
        assert_eq!(page["edges"].as_array().unwrap().len(), first);
        // The worker and periodic tasks may execute other statements in the meantime, which are not counted.
        let is_of_the_search = |sql: &&String| {
            let parts = [
                "search_queue WHERE user_id",
                "search_users WHERE",
                "tokens ",
                "\"messages\"",
                "\"chatrooms\"",
            ];
            parts.iter().any(|part| sql.contains(part))
        };
        counts.push(app.statements.lock().unwrap().iter().filter(is_of_the_search).count());
    }
    assert_eq!(counts[0], counts[1]);
    // One statement each reads the replies to index, the user's segments, the matches, their messages, and the chatrooms of these
    // messages.
    assert_eq!(counts[1], 5);
    app.stop().await;
}
