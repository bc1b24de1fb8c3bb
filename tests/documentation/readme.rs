//! What the README says, done to the letter.

use std::process::Command;

use crate::support::process::Site;

const README: &str = include_str!("../../README.md");

/// The first code block after a heading.
fn block_after(heading: &str) -> &'static str {
    let (_, section) = README.split_once(heading).unwrap();
    let (_, block) = section.split_once("```").unwrap();
    let (_, code) = block.split_once('\n').unwrap();
    code.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_conversation_in_curl_works() {
    let site = Site::new().await;
    let process = site.start_demo().await;
    let script = block_after("## A first conversation, in curl");
    assert!(script.contains("http://localhost:8000"));
    let script = script.replace("localhost:8000", &process.address.to_string());
    let talk = move || Command::new("bash").args(["-euc", &script]).env("TOKEN", "").output().unwrap();
    let done = tokio::task::spawn_blocking(talk).await.unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    assert!(said.contains(r#""status":"COMPLETED""#), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(said.contains("demo model") && said.contains("What is a pulsar?"), "{said}");
    process.terminate();
    assert!(process.ended().await);
}

#[test]
fn the_node_client_is_the_one_that_is_shown() {
    let shown = block_after("[follow.mjs](clients/follow.mjs), whole:");
    let file = include_str!("../../clients/follow.mjs");
    assert_eq!(file.split_once('\n').unwrap().1, shown);
}
