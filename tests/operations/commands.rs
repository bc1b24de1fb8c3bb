//! The commands `pollux health`, `pollux check` and, for PostgreSQL, `pollux backup`.

use serde_json::json;

use crate::support::{
    FakeOpenAi, FakeStripe, TestUser,
    process::{Deployment, Process},
};

/// Runs a command, and returns whether it succeeded and what it printed.
fn run(directory: &std::path::Path, arguments: &[&str], settings: &[(&str, String)]) -> (bool, String) {
    let mut command = Process::command(directory);
    let output = command.args(arguments).envs(settings.iter().cloned()).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), text)
}

#[tokio::test]
async fn health_succeeds_while_the_server_is_ready_and_fails_after_it_has_ended() {
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let directory = deployment.directory.path();
    let bind = [("BIND", process.address.to_string())];
    assert_eq!(run(directory, &["health"], &bind), (true, "ready\n".to_owned()));
    // If the server listens on all addresses, the command connects to the loopback address.
    let all_addresses = [("BIND", format!("0.0.0.0:{}", process.address.port()))];
    assert_eq!(run(directory, &["health"], &all_addresses), (true, "ready\n".to_owned()));
    process.kill();
    let (is_ready, text) = run(directory, &["health"], &bind);
    assert!(!is_ready && text.contains("does not respond"), "{text}");
}

#[tokio::test]
async fn health_connects_to_the_metrics_address_if_the_other_address_refuses_connections() {
    let deployment = Deployment::new().await;
    let mut process = deployment.start_with(&[], &[("METRICS_BIND", "127.0.0.1:0")]).await;
    let metrics = process.metrics_address().await;
    // As for a worker, which listens only for its metrics.
    let settings = [("BIND", "127.0.0.1:1".to_owned()), ("METRICS_BIND", metrics.to_string())];
    assert_eq!(run(deployment.directory.path(), &["health"], &settings), (true, "ready\n".to_owned()));
}

#[tokio::test]
async fn check_reports_each_part_while_a_server_runs() {
    let deployment = Deployment::new().await;
    let process = deployment.start().await;
    let text = deployment.output(&["check"]);
    let database = if deployment.backend.redis_url.is_some() { "PostgreSQL" } else { "SQLite" };
    for line in [
        "ok      settings  valid",
        &format!("ok      database  {database} responds; the schema is up to date"),
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(text.contains("demo model") && text.contains("billing is disabled"), "{text}");
    TestUser::anonymous(process.address).data("{ __typename }", json!({})).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn check_reports_every_problem_and_no_secret() {
    let deployment = Deployment::new().await;
    let stripe = FakeStripe::start(pollux::clock::Clock::system()).await;
    let mut settings: Vec<(&str, String)> = stripe.environment();
    settings.push(("GEMINI_API_KEY", "hush-hush".to_owned()));
    settings.push(("GEMINI_BASE_URL", "http://127.0.0.1:1".to_owned()));
    settings.push(("STRIPE_PRO_PRICE_ID", "price_unknown".to_owned()));
    settings.push(("CORS_ORIGINS", "chat.example".to_owned()));
    settings.push(("REDIS_URL", "redis://127.0.0.1:1".to_owned()));
    settings.push(("DATABASE_URL", "postgres://pollux:hush-hush@127.0.0.1:1/chat".to_owned()));
    settings.push(("JWT_SECRET", "a secret of thirty-two characters".to_owned()));
    let (is_ok, text) =
        tokio::task::block_in_place(|| run(deployment.directory.path(), &["check"], &settings));
    assert!(!is_ok && text.contains("5 of the checks failed"), "{text}");
    for problem in [
        "FAILED  settings  CORS_ORIGINS",
        "FAILED  database  cannot connect to PostgreSQL at 127.0.0.1:1",
        "FAILED  redis     Redis does not respond",
        "FAILED  gemini    Gemini does not respond",
        "FAILED  stripe    Stripe does not know the price price_unknown",
    ] {
        assert!(text.contains(problem), "{problem}: {text}");
    }
    assert!(!text.contains("hush-hush"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_models_that_an_openai_compatible_server_does_not_list() {
    let deployment = Deployment::new().await;
    let server = FakeOpenAi::start().await;
    let check = |models: &str| {
        let settings = [
            ("OPENAI_BASE_URL", format!("http://{}/v1", server.address)),
            ("OPENAI_MODELS", models.to_owned()),
            ("OPENAI_API_KEY", "hush-hush".to_owned()),
            ("OPENAI_PROVIDER", "Local".to_owned()),
        ];
        tokio::task::block_in_place(|| run(deployment.directory.path(), &["check"], &settings)).1
    };
    let text = check("model-a");
    assert!(text.contains("ok      openai    Local knows model-a"), "{text}");
    assert!(text.contains("ok      gemini    GEMINI_API_KEY is not set\n"), "{text}");
    let text = check("model-a, model-z");
    assert!(text.contains("FAILED  openai    Local does not know model-z (OPENAI_MODELS)"), "{text}");
}

#[test]
fn backup_of_postgresql_fails_and_prints_the_pg_dump_command_without_the_password() {
    let directory = tempfile::TempDir::new().unwrap();
    let settings = [("DATABASE_URL", "postgres://pollux:hush@db/chat".to_owned())];
    let (is_ok, text) = run(directory.path(), &["backup", "copy.db"], &settings);
    assert!(
        !is_ok && text.contains("pg_dump --format=custom --file=copy.db --dbname=postgres://pollux@db/chat"),
        "{text}"
    );
    assert!(!text.contains("hush"), "{text}");
}
