//! Servers and programs that some tests need. If one is missing, its tests are skipped, and one line reports them all. With
//! `POLLUX_TEST_REQUIRE=1`, which `tests/run` sets, they fail instead.
//!
//! Each public function `has_…` checks one requirement and, if it is missing, reports the skipped tests.

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    sync::Mutex,
};

use super::Backend;

/// Ends the test as skipped unless PostgreSQL and Redis are running.
macro_rules! require_servers {
    () => {
        if !$crate::support::requirements::has_servers() {
            return;
        }
    };
}

/// Ends the test as skipped unless Node and the packages of `clients/` are installed.
macro_rules! require_clients {
    () => {
        if !$crate::support::requirements::has_clients() {
            return;
        }
    };
}

/// Ends the test as skipped unless the page in `playground/` is built.
macro_rules! require_page {
    () => {
        if !$crate::support::requirements::has_page() {
            return;
        }
    };
}

pub(crate) use {require_clients, require_page, require_servers};

pub fn has_servers() -> bool {
    let command =
        "tests/with-servers COMMAND, as in tests/with-servers cargo test --test integration scale::";
    Backend::servers().is_some() || skip("tests that need PostgreSQL and Redis", command)
}

pub fn has_clients() -> bool {
    let packages = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/node_modules/.package-lock.json");
    let is_installed = packages.exists() && has_program("node");
    let command = "tests/with-clients && cargo test --test integration clients::";
    is_installed || skip("tests of the client examples, which need Node", command)
}

pub fn has_page() -> bool {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/dist/index.html");
    page.exists() || skip("tests of the built page", "make page")
}

pub fn has_curl() -> bool {
    has_program("curl") || skip("test of the README's curl example", "install curl")
}

pub fn has_pgbouncer(program: &str) -> bool {
    has_program(program)
        || skip("tests of PgBouncer (scale::pooler::)", "install pgbouncer and run them again")
}

pub fn has_promtool() -> bool {
    has_program("promtool")
        || skip("checks of metrics and alerts by promtool", "install prometheus and run them again")
}

fn has_program(name: &str) -> bool {
    let mut command = Command::new(name);
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Reports skipped tests, once in a process, and how to run them. Returns `false`: the requirement is not met.
///
/// # Panics
/// If `POLLUX_TEST_REQUIRE` is 1, because a missing requirement is then a failure.
fn skip(tests: &'static str, remedy: &str) -> bool {
    static REPORTED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let is_required = std::env::var("POLLUX_TEST_REQUIRE").is_ok_and(|value| value == "1");
    assert!(!is_required, "POLLUX_TEST_REQUIRE=1 does not allow skipping {tests}. To run them: {remedy}");
    if REPORTED.lock().unwrap().insert(tests) {
        // Written directly, because the test runner captures the output of `eprintln!` and shows it only if the test fails.
        let _ = writeln!(std::io::stderr(), "\nskipped: {tests}. To run them: {remedy}");
    }
    false
}
