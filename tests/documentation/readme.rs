//! The commands and programs that the README shows work as shown.

use std::process::Command;

use crate::support::{process::Deployment, requirements::has_curl};

const README: &str = include_str!("../../README.md");

/// The first code block after a heading.
fn block_after(heading: &str) -> &'static str {
    let (_, section) = README.split_once(heading).unwrap();
    let (_, block) = section.split_once("```").unwrap();
    let (_, code) = block.split_once('\n').unwrap();
    code.split_once("```").unwrap().0
}

#[tokio::test]
async fn the_readmes_curl_example_works() {
    if !has_curl() {
        return;
    }
    let deployment = Deployment::new().await;
    let process = deployment.start_demo().await;
    let script = block_after("## A first conversation, in curl");
    assert!(script.contains("http://localhost:8000"));
    let script = script.replace("localhost:8000", &process.address.to_string());
    let talk = move || Command::new("bash").args(["-euc", &script]).env("TOKEN", "").output().unwrap();
    let done = tokio::task::spawn_blocking(talk).await.unwrap();
    let output = String::from_utf8(done.stdout).unwrap();
    assert!(output.contains(r#""status":"COMPLETED""#), "{output}{}", String::from_utf8_lossy(&done.stderr));
    assert!(output.contains("demo model") && output.contains("What is a pulsar?"), "{output}");
    process.terminate();
    assert!(process.wait_for_exit().await);
}

#[test]
fn the_readme_shows_the_tested_node_client() {
    let shown = block_after("[follow.mjs](clients/follow.mjs), whole:");
    let file = include_str!("../../clients/follow.mjs");
    assert_eq!(file.split_once('\n').unwrap().1, shown);
}
