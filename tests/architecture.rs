//! The architecture: which modules and crates each module may use, how long files may be, the generated schema, and the tests
//! that SECURITY.md names.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::sources::rust_files;

/// Each module of `src/` with the modules that it may use. It may also use [`LEAVES`], which are not listed here because they use
/// no other module.
const ALLOWED_MODULES: &[(&str, &[&str])] = &[
    ("http", &["graphql", "domain", "store", "ports"]),
    ("graphql", &["domain", "store", "ports"]),
    ("jobs", &["domain", "store", "ports"]),
    ("domain", &["store", "ports"]),
    ("store", &[]),
    ("ports", &[]),
    ("adapters", &["ports"]),
    ("app", &["http", "graphql", "jobs", "domain", "store", "ports", "adapters"]),
    // `lib` only declares the modules, and `main` uses them as `pollux::…`. Only paths that begin with `crate::` are checked.
    ("lib", &[]),
    ("main", &[]),
];
/// The modules of `src/` that every other module may use.
const LEAVES: &[&str] = &["backoff", "config", "error", "clock", "telemetry", "lifecycle"];
/// Like [`ALLOWED_MODULES`], for the modules of `src/graphql/`.
const ALLOWED_GRAPHQL_MODULES: &[(&str, &[&str])] = &[
    ("mod", &["schema", "engine"]),
    ("schema", &["types", "engine"]),
    ("types", &["engine"]),
    ("engine", &[]),
];
/// Like [`ALLOWED_MODULES`], for the modules of `src/domain/`.
const ALLOWED_DOMAIN_MODULES: &[(&str, &[&str])] = &[
    ("mod", &[]),
    ("admin", &["auth", "billing", "publish", "quota"]),
    ("auth", &["billing", "export_json", "publish", "random", "text"]),
    ("billing", &["publish", "text"]),
    ("chatrooms", &["billing", "export_json", "models", "quota", "replies", "publish", "read_retry", "text"]),
    ("models", &["billing"]),
    ("sharing", &["auth", "chatrooms", "publish"]),
    ("replies", &["billing", "models", "publish", "quota", "read_retry", "text"]),
    ("export_json", &[]),
    ("search", &[]),
    ("publish", &[]),
    ("quota", &["billing"]),
    ("random", &[]),
    ("read_retry", &[]),
    ("text", &[]),
];
/// Crates that only the listed modules may use. `app` and `config` are listed for `redis` because they use a module of that name.
const CRATE_USERS: &[(&str, &[&str])] = &[
    ("async_graphql", &["graphql", "http"]),
    ("axum", &["http"]),
    ("redis", &["adapters", "app", "config"]),
    ("sqlx", &["store"]),
];
const MAX_LINES: usize = 350;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the paths in `text` that begin with `prefix`, with the prefix removed. For the prefix `crate::`,
/// `use crate::{a::b, c}` contains `a::b` and `c`.
fn paths_after(prefix: &str, text: &str) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (at, found) in text.match_indices(prefix) {
        let is_whole = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if is_whole {
            collect_paths("", &text[at + found.len()..], &mut paths);
        }
    }
    paths
}

/// Adds the paths of the `use` tree with which the text begins to `paths`, and returns the text after the tree.
fn collect_paths<'a>(parent: &str, tree: &'a str, paths: &mut BTreeSet<String>) -> &'a str {
    if let Some(mut rest) = tree.strip_prefix('{') {
        loop {
            rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if rest.is_empty() || rest.starts_with('}') {
                return rest.get(1..).unwrap_or_default();
            }
            rest = collect_paths(parent, rest, paths);
            // Skips an alias (`as x`) and anything else up to the end of the item.
            rest = &rest[rest.find([',', '}']).unwrap_or(rest.len())..];
        }
    }
    let end = tree.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(tree.len());
    let path = if parent.is_empty() { tree[..end].to_owned() } else { format!("{parent}::{}", &tree[..end]) };
    if let Some(rest) = tree[end..].strip_prefix("::") {
        return collect_paths(&path, rest, paths);
    }
    paths.insert(path);
    &tree[end..]
}

fn first_segments(paths: &BTreeSet<String>) -> BTreeSet<&str> {
    paths.iter().map(|path| path.split("::").next().unwrap()).collect()
}

/// Returns the name of the module, directly below `directory`, to which the file belongs.
fn module_of(file: &Path, directory: &Path) -> String {
    let first = file.strip_prefix(directory).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

fn allowed_for<'a>(allowed_modules: &[(&str, &'a [&'a str])], module: &str) -> &'a [&'a str] {
    allowed_modules.iter().find(|(name, _)| *name == module).map_or(&[], |(_, allowed)| allowed)
}

#[test]
fn crate_paths_are_found_in_every_form() {
    let text =
        "use crate::a::B; use crate::{b::{C, d::E}, f, g::H as I,}; fn x() { crate::i::j(); } mycrate::z";
    let expected: BTreeSet<String> =
        ["a::B", "b::C", "b::d::E", "f", "g::H", "i::j"].map(str::to_owned).into();
    assert_eq!(paths_after("crate::", text), expected);
}

#[test]
fn modules_depend_only_on_allowed_modules() {
    let source = root().join("src");
    for file in rust_files(&source) {
        let module = module_of(&file, &source);
        let allowed = allowed_for(ALLOWED_MODULES, &module);
        for used in first_segments(&paths_after("crate::", &fs::read_to_string(&file).unwrap())) {
            let is_use_of_leaf = LEAVES.contains(&used) && !LEAVES.contains(&&*module);
            let is_allowed = used == module || is_use_of_leaf || allowed.contains(&used);
            assert!(is_allowed, "{} must not use crate::{used}", file.display());
        }
    }
}

/// Checks that the modules of `src/{parent}` use only the modules of `src/{parent}` that are allowed for them. A use is a path
/// that begins with `crate::{parent}::` or with `super::`.
fn assert_allowed_within(parent: &str, allowed_modules: &[(&str, &[&str])]) {
    let directory = root().join("src").join(parent);
    let is_module = |name: &str| allowed_modules.iter().any(|(module, _)| *module == name);
    for file in rust_files(&directory) {
        let module = module_of(&file, &directory);
        assert!(is_module(&module), "list {parent}::{module} with the modules that it may use");
        let text = fs::read_to_string(&file).unwrap();
        let (absolute, relative) = (paths_after("crate::", &text), paths_after("super::", &text));
        let absolute = absolute.iter().filter_map(|path| path.strip_prefix(&format!("{parent}::")));
        for path in absolute.chain(relative.iter().map(|path| path.trim_start_matches("super::"))) {
            let used = path.split("::").next().unwrap();
            let is_allowed =
                used == module || !is_module(used) || allowed_for(allowed_modules, &module).contains(&used);
            assert!(is_allowed, "{} must not use crate::{parent}::{used}", file.display());
        }
    }
}

#[test]
fn graphql_modules_depend_only_on_allowed_modules() {
    assert_allowed_within("graphql", ALLOWED_GRAPHQL_MODULES);
}

#[test]
fn domain_modules_depend_only_on_allowed_modules() {
    assert_allowed_within("domain", ALLOWED_DOMAIN_MODULES);
}

#[test]
fn crates_are_used_only_by_the_modules_listed_for_them() {
    let source = root().join("src");
    for file in rust_files(&source) {
        let module = module_of(&file, &source);
        let text = fs::read_to_string(&file).unwrap();
        for (name, users) in CRATE_USERS {
            let is_allowed = users.contains(&&*module) || paths_after(&format!("{name}::"), &text).is_empty();
            assert!(is_allowed, "{} must not use the crate {name}", file.display());
        }
    }
}

#[test]
fn no_file_exceeds_350_lines() {
    for directory in ["src", "tests", "entity", "migration", "benches"] {
        for file in rust_files(&root().join(directory)) {
            let lines = fs::read_to_string(&file).unwrap().lines().count();
            assert!(lines <= MAX_LINES, "{} has {lines} lines", file.display());
        }
    }
}

#[test]
fn schema_graphql_matches_the_code() {
    let committed = fs::read_to_string(root().join("schema.graphql")).unwrap();
    assert!(committed == pollux::graphql::sdl(), "schema.graphql is out of date: run `make schema`");
}

#[test]
fn every_test_named_in_security_md_exists() {
    let text = fs::read_to_string(root().join("SECURITY.md")).unwrap();
    let sources: String = ["src", "tests", "entity"]
        .iter()
        .flat_map(|directory| rust_files(&root().join(directory)))
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let named: Vec<&str> = text
        .split('`')
        .filter(|code| {
            code.contains("::")
                && code.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:".contains(c))
        })
        .collect();
    // A much smaller number would mean that the filter above no longer finds the names.
    assert!(named.len() > 90, "{}", named.len());
    for name in named {
        let function = name.rsplit("::").next().unwrap();
        assert!(
            sources.contains(&format!("fn {function}(")),
            "SECURITY.md names {name}, which does not exist"
        );
    }
}
