//! docs/errors.md documents exactly the codes that a client can receive.

use std::{collections::BTreeSet, fs, path::Path};

use entity::message::FailureCode;
use pollux::graphql::ErrorCode;
use sea_orm::Iterable;

use crate::support::sources::rust_files;

/// Returns the codes in the first column of the table after a heading of docs/errors.md.
fn documented_codes(heading: &str) -> BTreeSet<String> {
    let text = include_str!("../../docs/errors.md");
    let (_, section) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.filter_map(|row| row.split(" |").next()).map(|cell| cell.trim_matches('`').to_owned());
    // The first row is the header.
    cells.skip(1).collect()
}

/// Returns the paths and texts of the Rust files in a directory.
fn read_sources(directory: &str) -> Vec<(String, String)> {
    let files = rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory));
    files.iter().map(|file| (file.display().to_string(), fs::read_to_string(file).unwrap())).collect()
}

#[test]
fn every_error_code_is_documented() {
    let codes = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    assert_eq!(documented_codes("Codes"), codes);
}

#[test]
fn every_failure_code_of_a_reply_is_documented() {
    let name = |code: FailureCode| serde_json::to_value(code).unwrap().as_str().unwrap().to_owned();
    assert_eq!(documented_codes("Failures of a reply"), FailureCode::iter().map(name).collect());
}

#[test]
fn every_close_code_of_a_socket_is_documented() {
    let mut codes = BTreeSet::new();
    for (_, text) in read_sources("src/http/socket") {
        // Clients never receive the close codes that unit tests use.
        let text = text.split("#[cfg(test)]").next().unwrap();
        // Close codes are the four-digit numbers that are the first argument of a constructor, as in `Close::new(4403, …)`.
        for (_, rest) in text.match_indices("::new(").map(|(at, found)| text.split_at(at + found.len())) {
            let code: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
            if code.len() == 4 {
                codes.insert(code);
            }
        }
    }
    assert_eq!(documented_codes("Close codes of a WebSocket"), codes);
}

#[test]
fn error_codes_are_defined_in_one_place() {
    let files = ["src/graphql", "src/http"].map(read_sources).concat();
    for (file, text) in files.iter().filter(|(file, _)| !file.ends_with("graphql/engine/error_code.rs")) {
        for code in ErrorCode::ALL.iter().map(|code| format!("\"{}\"", code.as_str())) {
            assert!(!text.contains(&code), "{file} has {code}: use ErrorCode");
        }
        assert!(!text.contains("(\"code\", \""), "{file} sets a code without ErrorCode");
    }
}
