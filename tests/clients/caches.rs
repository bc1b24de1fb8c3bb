//! The normalized caches of client libraries. Each example shows lists, a chatroom and an account, which another device changes.
//! Events keep the example's cache equal to a new read, and the example sends no other request.

use super::Example;
use crate::support::{Gate, Script, process::Deployment, requirements::require_clients};

/// Reads the lines with the growing text of a reply, and returns the line after them.
async fn line_after_text(example: &mut Example, reply: &str) -> String {
    loop {
        let line = example.next_line().await;
        let Some(text) = line.strip_prefix("text ") else { return line };
        assert!(reply.starts_with(text), "{line}");
    }
}

async fn assert_events_update_the_cache(file: &str) {
    let deployment = Deployment::new().await;
    let (first_gate, second_gate) = (Gate::closed(), Gate::closed());
    let script = Script::new().text("A neutron ").wait(&first_gate).text("star ").wait(&second_gate);
    deployment.gemini.enqueue(script.text("that spins.").finish("STOP"));
    deployment.gemini.enqueue(Script::new().text("A bright galaxy.").finish("STOP"));
    let process = deployment.start_with(&[], &[("BASIC_DAILY_LIMIT", "5")]).await;
    let mut example = Example::start(file, process.address);

    let line = example.next_line().await;
    assert_eq!(line, "created during the first read: [Stars] [] -; BASIC, 0 used, 5 left");
    assert_eq!(example.next_line().await, "created: [Plants, Stars] [] -; BASIC, 0 used, 5 left");
    assert_eq!(example.next_line().await, "text A neutron ");
    first_gate.open();
    assert_eq!(example.next_line().await, "text A neutron star ");
    second_gate.open();
    let pulsar = "What is a pulsar? | A neutron star that spins.; BASIC";
    let line = line_after_text(&mut example, "A neutron star that spins.").await;
    assert_eq!(line, format!("sent: [Stars, Plants] [] {pulsar}, 1 used, 4 left"));
    let line = line_after_text(&mut example, "A bright galaxy.").await;
    let quasar = "What is a quasar? | A bright galaxy.; BASIC";
    assert_eq!(line, format!("edited: [Stars, Plants] [] {quasar}, 2 used, 3 left"));
    for (step, lists) in [
        ("switched back", "[Stars, Plants] []"),
        ("pinned", "[Plants*, Stars] []"),
        ("renamed", "[Plants*, Pulsars] []"),
        ("archived", "[Pulsars] [Plants]"),
    ] {
        let expected = format!("{step}: {lists} {pulsar}, 2 used, 3 left");
        assert_eq!(example.next_line().await, expected, "{file}");
    }
    assert_eq!(example.next_line().await, "deleted: [] [Plants] -; BASIC, 2 used, 3 left");

    // The example prints the `pollux` command that it waits for.
    let line = example.next_line().await;
    let command = line.strip_prefix("waiting for: pollux ").expect(&line);
    let arguments: Vec<_> = command.split(' ').collect();
    tokio::task::block_in_place(|| deployment.output(&arguments));
    assert_eq!(example.next_line().await, "upgraded: [] [Plants] -; PRO, 2 used, unlimited left");
    // The example has read the account, the lists and the chatroom once each.
    assert_eq!(example.next_line().await, "3 requests");
    example.wait_for_exit().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_update_the_cache_of_apollo_client_without_another_request() {
    require_clients!();
    assert_events_update_the_cache("apollo-cache.ts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_update_the_cache_of_urql_without_another_request() {
    require_clients!();
    assert_events_update_the_cache("urql-cache.ts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_update_the_store_of_relay_without_another_request() {
    require_clients!();
    assert_events_update_the_cache("relay-cache.ts").await;
}

#[test]
fn the_readme_shows_the_code_of_the_examples() {
    let readme = include_str!("../../clients/README.md");
    let [apollo, urql] =
        [include_str!("../../clients/apollo-cache.ts"), include_str!("../../clients/urql-cache.ts")];
    let blocks: Vec<_> =
        readme.split("```ts\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert_eq!(blocks.len(), 2);
    for (block, file) in blocks.into_iter().zip([apollo, urql]) {
        for paragraph in block.trim().split("\n\n") {
            assert!(file.contains(paragraph), "not in the example:\n{paragraph}");
        }
    }
}
