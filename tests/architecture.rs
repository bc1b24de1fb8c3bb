//! The architecture: which module may use which, how long a file may be, and the generated schema.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::sources::rust_files;

/// Who may use whom. Everything may use the leaves; nobody may use what is not named here.
const ARROWS: &[(&str, &[&str])] = &[
    ("http", &["graphql", "domain", "store", "ports"]),
    ("graphql", &["domain", "store", "ports"]),
    ("jobs", &["domain", "store", "ports"]),
    ("domain", &["store", "ports"]),
    ("store", &[]),
    ("ports", &[]),
    ("adapters", &["ports"]),
    ("app", &["http", "graphql", "jobs", "domain", "store", "ports", "adapters"]),
    ("lib", &[]),
    ("main", &[]),
];
const LEAVES: &[&str] = &["backoff", "config", "error", "clock", "telemetry", "lifecycle"];
const LONGEST_FILE: usize = 350;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first names of all paths that begin with `crate::`, in `use crate::{a::…, b}` too.
fn crate_paths(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, found) in text.match_indices("crate::") {
        let rest = &text[at + found.len()..];
        let Some(list) = rest.strip_prefix('{') else {
            names.insert(first_name(rest));
            continue;
        };
        let mut depth = 0;
        let mut item = 0;
        for (at, c) in list.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' | '}' if depth == 0 => {
                    names.insert(first_name(list[item..at].trim_start()));
                    item = at + 1;
                    if c == '}' {
                        break;
                    }
                }
                _ => {}
            }
        }
    }
    names.remove("");
    names
}

fn first_name(path: &str) -> String {
    path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn paths_are_found_in_every_form() {
    let text = "use crate::a::B; use crate::{b::{C, d::E}, f, g::H,}; fn x() { crate::i::j(); }";
    let expected: BTreeSet<String> = ["a", "b", "f", "g", "i"].map(str::to_owned).into();
    assert_eq!(crate_paths(text), expected);
}

#[test]
fn arrows_point_one_way() {
    let source = root().join("src");
    for file in rust_files(&source) {
        let place = file.strip_prefix(&source).unwrap();
        let room = place.components().next().unwrap().as_os_str().to_str().unwrap().trim_end_matches(".rs");
        let allowed = ARROWS.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, allowed)| allowed);
        for used in crate_paths(&fs::read_to_string(&file).unwrap()) {
            let fine = used == room
                || LEAVES.contains(&used.as_str()) && !LEAVES.contains(&room)
                || allowed.contains(&used.as_str());
            assert!(fine, "{} must not use crate::{used}", place.display());
        }
    }
}

#[test]
fn no_file_outgrows_its_noun() {
    for directory in ["src", "tests", "entity", "migration", "benches"] {
        for file in rust_files(&root().join(directory)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= LONGEST_FILE, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn the_schema_is_the_one_that_is_written_down() {
    let written = fs::read_to_string(root().join("schema.graphql")).unwrap();
    assert!(written == pollux::graphql::sdl(), "schema.graphql is out of date: `make schema` writes it anew");
}

#[test]
fn every_test_that_security_rests_on_exists() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let sources: String = ["src", "tests", "entity"]
        .iter()
        .flat_map(|directory| rust_files(&root().join(directory)))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let named: Vec<&str> = text
        .split('`')
        .filter(|code| {
            code.contains("::") && code.chars().all(|c| c.is_ascii_lowercase() || "_:".contains(c))
        })
        .collect();
    assert!(named.len() > 90, "{}", named.len());
    for name in named {
        let function = name.rsplit("::").next().unwrap();
        assert!(sources.contains(&format!("fn {function}(")), "SECURITY.md names {name}, and there is none");
    }
}
