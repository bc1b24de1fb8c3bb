//! Servers and programs that some tests need. Without one of them these tests are skipped, with one line for all of them;
//! with `POLLUX_TEST_REQUIRE=1`, as `tests/run` sets, they fail instead.

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
    let has = packages.exists() && has_program("node");
    let command = "tests/with-clients && cargo test --test integration clients::";
    has || skip("tests of the client examples, which need Node", command)
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

/// Reports skipped tests, once for the process, and what to do to run them.
///
/// # Panics
/// `POLLUX_TEST_REQUIRE` is 1: a requirement that is not met is a failure.
fn skip(tests: &'static str, remedy: &str) -> bool {
    static REPORTED: Mutex<BTreeSet<&str>> = Mutex::new(BTreeSet::new());
    let is_required = std::env::var("POLLUX_TEST_REQUIRE").is_ok_and(|value| value == "1");
    assert!(!is_required, "POLLUX_TEST_REQUIRE=1 forbids to skip {tests}. To run them: {remedy}");
    if REPORTED.lock().unwrap().insert(tests) {
        // Written directly, because the test runner shows what `eprintln!` prints for failed tests only.
        let _ = writeln!(std::io::stderr(), "\nskipped: {tests}. To run them: {remedy}");
    }
    false
}
