//! The metrics that a process serves.

use std::{
    collections::HashMap,
    io::Write,
    net::{SocketAddr, TcpListener},
    process::{Command, Stdio},
};

use sea_orm::{ConnectionTrait, Database};
use serde_json::json;

use crate::support::{
    Gate, Script, TestUser,
    process::{Deployment, Process},
    requirements::has_promtool,
};

const ANY_PORT: (&str, &str) = ("METRICS_BIND", "127.0.0.1:0");
const NUMBER: &str = "+14155550123";

async fn metrics_text(address: SocketAddr) -> String {
    let response = TestUser::anonymous(address).http.get(format!("http://{address}/metrics")).send().await;
    let response = response.unwrap();
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    response.text().await.unwrap()
}

/// The values of all samples. The keys are the names with their labels.
async fn scrape(address: SocketAddr) -> HashMap<String, String> {
    let text = metrics_text(address).await;
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_scrape_counts_the_operations_and_replies_of_a_conversation() {
    let deployment = Deployment::new().await;
    // With Redis, the worker is another process.
    let has_redis = deployment.backend.redis_url.is_some();
    let mut api = deployment.start_with(if has_redis { &["api"] } else { &[] }, &[ANY_PORT]).await;
    let api_metrics = api.metrics_address().await;
    let mut worker = None;
    let worker_metrics = if has_redis {
        let process = worker.insert(deployment.start_with(&["worker"], &[ANY_PORT]).await);
        process.metrics_address().await
    } else {
        api_metrics
    };

    let user = TestUser::sign_in(api.address, NUMBER).await;
    let chatroom = user.create_chatroom("Plans").await;
    deployment.gemini.enqueue(Script::gemini_error(503, "UNAVAILABLE", json!([])));
    let gate = Gate::closed();
    deployment
        .gemini
        .enqueue(Script::new().text("One").text(" two").wait(&gate).text(" three").finish("STOP"));
    let sent = chatroom.send("Count").await;
    let mut follower = user.follow(&sent.reply, None).await;
    follower.read_until("One two").await;

    let while_running = scrape(api_metrics).await;
    assert_eq!(while_running["pollux_websockets_open"], "1");
    assert_eq!(while_running["pollux_subscriptions_open{transport=\"websocket\"}"], "1");
    assert_eq!(while_running["pollux_jobs_queued{kind=\"reply\",state=\"claimed\"}"], "1");
    assert_eq!(scrape(worker_metrics).await["pollux_worker_jobs_running"], "1");
    let cursor = follower.cursor.clone();
    gate.open();
    assert_eq!(follower.read_to_end().await, "ReplyCompleted");
    let mut resumed = user.follow(&sent.reply, Some(&cursor)).await;
    resumed.read_to_end().await;
    assert_eq!(user.error_code("{ nothing }", json!({})).await, "GRAPHQL_VALIDATION_FAILED");
    assert_eq!(user.error_code("{ node(id: \"x\") { id } }", json!({})).await, "no error");
    user.data("query Mine { me { id } }", json!({})).await;
    user.data("query Mine { me { id } }", json!({})).await;

    let api_samples = scrape(api_metrics).await;
    let operation = |kind: &str, name: &str| format!("{{operation=\"{name}\",type=\"{kind}\"}}");
    let number = |name: &str| api_samples[name].parse::<f64>().unwrap();
    let operations = |kind: &str, name: &str| {
        api_samples[&format!("pollux_graphql_operations_total{}", operation(kind, name))].clone()
    };
    assert_eq!(operations("query", "Mine"), "2");
    // sendOtp, verifyOtp, createChatroom and sendMessage.
    assert_eq!(operations("mutation", "unnamed"), "4");
    assert_eq!(operations("subscription", "unnamed"), "2");
    let durations =
        format!("pollux_graphql_operation_duration_seconds_count{}", operation("mutation", "unnamed"));
    assert_eq!(api_samples[&durations], "4");
    assert_eq!(api_samples["pollux_graphql_errors_total{code=\"GRAPHQL_VALIDATION_FAILED\"}"], "1");
    assert_eq!(api_samples["pollux_reply_subscriptions_total{start=\"beginning\"}"], "1");
    assert_eq!(api_samples["pollux_reply_subscriptions_total{start=\"cursor\"}"], "1");
    assert!(number("pollux_subscription_events_total{transport=\"websocket\"}") >= 3.0);
    assert_eq!(api_samples["pollux_otp_deliveries_total{channel=\"response\",result=\"sent\"}"], "1");
    // The second `Mine` and the second subscription of the reply.
    assert_eq!(api_samples["pollux_cache_requests_total{cache=\"documents\",result=\"hit\"}"], "2");
    assert!(number("pollux_cache_requests_total{cache=\"sessions\",result=\"hit\"}") > 0.0);
    assert_eq!(api_samples.get("pollux_redis_up").cloned(), has_redis.then_some("1".to_owned()));
    assert_eq!(api_samples["pollux_build_info{version=\"0.1.0\"}"], "1");
    assert!(number("process_resident_memory_bytes") > 1e6 && number("process_cpu_seconds_total") > 0.0);

    let worker_samples = scrape(worker_metrics).await;
    assert_eq!(worker_samples["pollux_replies_ended_total{failure=\"none\",status=\"completed\"}"], "1");
    assert_eq!(worker_samples["pollux_reply_duration_seconds_count"], "1");
    assert_eq!(worker_samples["pollux_reply_retries_total{failure=\"model_unavailable\"}"], "1");
    // The first attempt failed with 503, and the second completed the reply.
    assert_eq!(worker_samples["pollux_job_claims_total{kind=\"reply\"}"], "2");
    assert_eq!(worker_samples.get("pollux_job_takeovers_total{kind=\"reply\"}"), None);
    assert_eq!(worker_samples["pollux_job_runs_total{kind=\"reply\",result=\"done\"}"], "2");
    let model = "model=\"gemini-3.5-flash-lite\"";
    assert_eq!(worker_samples[&format!("pollux_model_calls_total{{{model},outcome=\"complete\"}}")], "1");
    assert_eq!(
        worker_samples[&format!("pollux_model_calls_total{{{model},outcome=\"model_unavailable\"}}")],
        "1"
    );
    assert_eq!(worker_samples[&format!("pollux_model_chunks_total{{{model}}}")], "3");
    assert_eq!(worker_samples[&format!("pollux_model_first_token_seconds_count{{{model}}}")], "1");
    assert_eq!(worker_samples[&format!("pollux_model_tokens_total{{{model},type=\"prompt\"}}")], "7");
    assert_eq!(worker_samples["pollux_worker_jobs_running"], "0");
}

#[tokio::test]
async fn a_claim_of_a_killed_workers_job_counts_as_a_takeover() {
    let deployment = Deployment::new().await;
    let arguments: &[&str] = if deployment.backend.redis_url.is_some() { &["worker"] } else { &[] };
    let gate = Gate::closed();
    deployment.gemini.enqueue(Script::new().text("Half").wait(&gate).finish("STOP"));
    let killed = deployment.start().await;
    let user = TestUser::sign_in(killed.address, NUMBER).await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.follow(&sent.reply, None).await.read_until("Half").await;
    killed.kill();
    let mut successor = deployment.start_with(arguments, &[ANY_PORT]).await;
    let metrics = successor.metrics_address().await;
    successor.wait_for_log("reply ended").await;
    assert_eq!(scrape(metrics).await["pollux_job_takeovers_total{kind=\"reply\"}"], "1");
    gate.open();
}

#[tokio::test]
async fn metric_names_and_units_follow_prometheus_conventions() {
    if !has_promtool() {
        return;
    }
    let deployment = Deployment::new().await;
    let mut process = deployment.start_with(&[], &[ANY_PORT]).await;
    let metrics = process.metrics_address().await;
    let user = TestUser::sign_in(process.address, NUMBER).await;
    let sent = user.create_chatroom("x").await.send("hi").await;
    user.read(&sent.reply).await;
    let mut checker = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checker.stdin.take().unwrap().write_all(metrics_text(metrics).await.as_bytes()).unwrap();
    let output = checker.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
}

#[tokio::test]
async fn the_metrics_listener_serves_the_health_checks_and_not_the_api() {
    let deployment = Deployment::new().await;
    let mut process = deployment.start_with(&[], &[ANY_PORT]).await;
    let metrics = process.metrics_address().await;
    let http = TestUser::anonymous(metrics).http;
    let status =
        async |path: &str| http.get(format!("http://{metrics}{path}")).send().await.unwrap().status();
    assert_eq!(status("/health/ready").await, 200);
    assert_eq!(status("/graphql").await, 404);
    let response = http.get(format!("http://{}/metrics", process.address)).send().await.unwrap();
    assert_eq!(response.status(), 404, "clients must not be able to read the metrics");
}

#[test]
fn a_process_does_not_start_if_its_configured_metrics_address_is_in_use() {
    let directory = tempfile::TempDir::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut command = Process::command(directory.path());
    let output = command.env("BIND", "127.0.0.1:0").env("METRICS_BIND", &address).output().unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(&format!("cannot serve metrics on {address} (METRICS_BIND)")), "{error}");
}

#[tokio::test]
async fn a_process_starts_without_metrics_if_the_default_address_is_in_use() {
    // An error means that another process of this machine uses the port already.
    let _listener = TcpListener::bind("127.0.0.1:9090");
    let directory = tempfile::TempDir::new().unwrap();
    let mut command = Process::command(directory.path());
    command.env_remove("METRICS_BIND");
    let mut process = Process::spawn(command).await;
    process.wait_for_log("metrics are not served: 127.0.0.1:9090 is not available").await;
}

#[tokio::test]
async fn a_failed_statement_that_streams_its_rows_is_counted() {
    let deployment = Deployment::new().await;
    let mut process = deployment.start_with(&[], &[ANY_PORT]).await;
    let metrics = process.metrics_address().await;
    let user = TestUser::sign_in(process.address, NUMBER).await;
    let chatroom = user.create_chatroom("x").await;
    let database = Database::connect(&deployment.backend.database_url).await.unwrap();
    database.execute_unprepared("ALTER TABLE messages RENAME TO missing_messages").await.unwrap();
    let errors = async || scrape(metrics).await["pollux_database_errors_total"].parse::<u32>().unwrap();
    let before = errors().await;
    let messages = "query($id: ID!) { node(id: $id) { ... on Chatroom { messages { nodes { id } } } } }";
    assert_eq!(user.error_code(messages, json!({ "id": chatroom.id })).await, "INTERNAL_SERVER_ERROR");
    assert!(errors().await > before);
}
