//! The commands and programs that the README shows work as shown.

use std::{fs, path::Path, process::Command};

use crate::support::{process::Deployment, requirements::has_curl};

const README: &str = include_str!("../../README.md");

/// Returns the first code block after a heading.
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
    let run_script = move || Command::new("bash").args(["-euc", &script]).env("TOKEN", "").output().unwrap();
    let result = tokio::task::spawn_blocking(run_script).await.unwrap();
    let output = String::from_utf8(result.stdout).unwrap();
    assert!(
        output.contains(r#""status":"COMPLETED""#),
        "{output}{}",
        String::from_utf8_lossy(&result.stderr)
    );
    assert!(output.contains("demo model") && output.contains("What is a pulsar?"), "{output}");
    process.terminate();
    assert!(process.wait_for_exit().await);
}

/// Returns the source of a definition, such as `fragment Tokens`, in which each fragment spread is replaced by the fields of the
/// fragment. Returns `None` if the documents do not contain the definition.
fn definition(documents: &str, head: &str) -> Option<String> {
    let is_definition = |text: &&str| text.starts_with(head) && text[head.len()..].starts_with(['(', ' ']);
    let text = documents.split("\n\n").find(is_definition)?;
    let expand = |line: &str| match line.trim().strip_prefix("...") {
        Some(name) if !name.starts_with(' ') => {
            let fragment = definition(documents, &format!("fragment {name}")).unwrap();
            fragment.split_once('{').unwrap().1.rsplit_once('}').unwrap().0.to_owned()
        }
        _ => line.to_owned(),
    };
    Some(text.lines().map(expand).collect::<Vec<_>>().join("\n"))
}

/// Splits a source into fields, braces and pairs such as `$title:String`.
fn tokens(source: &str) -> Vec<String> {
    let spaced = source.replace(", ", " ").replace(": ", ":");
    let spaced =
        ["(", ")", "{", "}"].iter().fold(spaced, |text, brace| text.replace(brace, &format!(" {brace} ")));
    spaced.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn each_operation_in_the_readme_is_a_part_of_the_documented_one() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/operations");
    let files =
        fs::read_dir(directory).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap());
    let lines = files.flat_map(|file| file.lines().map(str::to_owned).collect::<Vec<_>>());
    let documents = lines.filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
    let script = block_after("## A first conversation, in curl");
    let shown: Vec<_> = script
        .split('\'')
        .filter(|text| ["query ", "mutation "].iter().any(|keyword| text.starts_with(keyword)))
        .collect();
    assert_eq!(shown.len(), script.matches("api '").count());
    for operation in shown {
        let head = operation.split(['(', '{']).next().unwrap().trim();
        let documented = definition(&documents, head).unwrap_or_else(|| panic!("{head} is not documented"));
        let mut documented = tokens(&documented).into_iter();
        for token in tokens(operation) {
            // Continues after the previous token, so the order must be the same.
            assert!(
                documented.any(|documented_token| documented_token == token),
                "{token} of the README's {head} is not documented"
            );
        }
    }
}

#[test]
fn the_readme_shows_the_tested_node_client() {
    let shown = block_after("[follow.mjs](clients/follow.mjs), whole:");
    let file = include_str!("../../clients/follow.mjs");
    assert_eq!(file.split_once('\n').unwrap().1, shown);
}
