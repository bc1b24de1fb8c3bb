//! Traces across an API process and a worker, which a fake collector receives, and trace ids and operations in the log.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use axum::{Json, Router, extract::State, http::HeaderMap, routing::post};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_util::task::TaskTracker;

use crate::support::{
    Script, TestUser,
    process::{Deployment, Process, on_process},
    socket::{Socket, TEST_TIMEOUT},
    user::SEND_MESSAGE,
};

/// The id of the trace that a client continues in the server.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// A fake collector, which receives spans by OTLP over HTTP.
struct Collector {
    address: SocketAddr,
    spans: mpsc::UnboundedReceiver<Value>,
}

impl Collector {
    async fn start() -> Self {
        let (sender, spans) = mpsc::unbounded_channel();
        let receive = |State(sender): State<Arc<mpsc::UnboundedSender<Value>>>,
                       headers: HeaderMap,
                       Json(body): Json<Value>| async move {
            assert_eq!(headers["x-key"], "hush");
            let service =
                body["resourceSpans"][0]["resource"]["attributes"][0]["value"]["stringValue"].clone();
            for span in body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap() {
                let mut span = span.clone();
                span["service"] = service.clone();
                let _ = sender.send(span);
            }
        };
        let routes = Router::new().route("/v1/traces", post(receive)).with_state(Arc::new(sender));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        TaskTracker::new().spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { address, spans }
    }

    /// Waits until spans of the trace with all of these names have been received, and returns its spans by name.
    async fn spans(&mut self, names: &[&str]) -> HashMap<String, Value> {
        let mut found = HashMap::new();
        while names.iter().any(|name| !found.contains_key(*name)) {
            let span = timeout(TEST_TIMEOUT, self.spans.recv()).await.expect("a span is missing").unwrap();
            if span["traceId"] == TRACE {
                found.insert(span["name"].as_str().unwrap().to_owned(), span);
            }
        }
        found
    }
}

/// Starts an API process and, with Redis, a worker process. They record only the traces that a client has sampled.
async fn start_traced(
    deployment: &Deployment,
    collector: &Collector,
    more_settings: &[(&str, &str)],
) -> (Process, Option<Process>) {
    let endpoint = format!("http://{}", collector.address);
    let settings = |service| {
        let traces = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=hush"),
            ("OTEL_SERVICE_NAME", service),
            ("OTEL_TRACES_SAMPLER_ARG", "0"),
        ];
        [&traces, more_settings].concat()
    };
    let has_redis = deployment.backend.redis_url.is_some();
    let api = deployment.start_with(if has_redis { &["api"] } else { &[] }, &settings("api")).await;
    if !has_redis {
        return (api, None);
    }
    (api, Some(deployment.start_with(&["worker"], &settings("worker")).await))
}

/// When the span started or ended, in nanoseconds. `boundary` is `start` or `end`.
fn time(span: &Value, boundary: &str) -> u64 {
    span[format!("{boundary}TimeUnixNano")].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn one_trace_follows_a_message_from_its_mutation_to_the_workers_model_call() {
    let mut collector = Collector::start().await;
    let deployment = Deployment::new().await;
    let (api, worker) = start_traced(&deployment, &collector, &[]).await;
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let chatroom = user.create_chatroom("x").await;
    deployment.gemini.enqueue(Script::reply(["secret one", " secret two"]));
    let parent = "b7ad6b7169203331";
    let input = json!({"chatroomId": chatroom.id, "content": "secret question"});
    let body = json!({"query": SEND_MESSAGE, "variables": {"input": input}});
    let request = user.http.post(format!("http://{}/graphql", api.address)).bearer_auth(&user.token);
    let request = request.header("traceparent", format!("00-{TRACE}-{parent}-01")).json(&body);
    let sent: Value = request.send().await.unwrap().json().await.unwrap();
    let reply = sent["data"]["sendMessage"]["reply"]["id"].as_str().unwrap();
    on_process(&user, &api).read(reply).await;

    let names =
        ["mutation unnamed", "claim", "job reply", "model call", "first text", "completion", "database"];
    let spans = collector.spans(&names).await;
    let [mutation, claim, job, call, first_text, completion, _] = names.map(|name| &spans[name]);
    // With Redis, the worker is another process.
    let worker_service = if worker.is_some() { "worker" } else { "api" };
    assert_eq!((&mutation["service"], &job["service"]), (&json!("api"), &json!(worker_service)));
    assert_eq!(mutation["parentSpanId"], parent, "the parent must be the span of the client");
    assert_eq!((&claim["parentSpanId"], &job["parentSpanId"]), (&mutation["spanId"], &mutation["spanId"]));
    assert_eq!((&call["parentSpanId"], &first_text["parentSpanId"]), (&job["spanId"], &job["spanId"]));
    assert!(time(mutation, "start") <= time(job, "start") && time(claim, "end") <= time(job, "start"));
    assert!(time(job, "start") <= time(first_text, "start") && time(first_text, "end") <= time(call, "end"));
    assert_eq!(completion["parentSpanId"], job["spanId"]);
    assert!(time(call, "end") <= time(completion, "end") && time(completion, "end") <= time(job, "end"));
    let text = Value::Object(spans.into_iter().collect()).to_string();
    assert!(!text.contains("secret") && !text.contains("4155550123"), "{text}");
    // The client's other operations are not sampled, so that no other span arrives.
    assert!(collector.spans.try_recv().is_err());
    drop(worker);
}

#[tokio::test]
async fn a_socket_and_each_of_its_operations_may_have_a_traceparent_of_the_client() {
    let mut collector = Collector::start().await;
    let deployment = Deployment::new().await;
    let (api, _worker) = start_traced(&deployment, &collector, &[]).await;
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let mut socket = Socket::open(api.address, "graphql-transport-ws", &[]).await.unwrap();
    let token = format!("Bearer {}", user.token);
    let socket_traceparent = format!("00-{TRACE}-b7ad6b7169203331-01");
    let payload = json!({ "authorization": token, "traceparent": socket_traceparent });
    socket.send(&json!({"type": "connection_init", "payload": payload})).await;
    assert_eq!(socket.next().await.unwrap()["type"], "connection_ack");
    let operation_traceparent = format!("00-{TRACE}-c8be7c827a314442-01");
    for (id, extensions) in [("1", json!({})), ("2", json!({ "traceparent": operation_traceparent }))] {
        let query = format!("query Number{id} {{ me {{ id }} }}");
        let payload = json!({"query": query, "extensions": extensions});
        socket.send(&json!({"type": "subscribe", "id": id, "payload": payload})).await;
    }
    let spans = collector.spans(&["query Number1", "query Number2"]).await;
    assert_eq!(spans["query Number1"]["parentSpanId"], "b7ad6b7169203331");
    assert_eq!(spans["query Number2"]["parentSpanId"], "c8be7c827a314442");
}

#[tokio::test]
async fn log_lines_of_a_traced_job_have_the_id_of_the_trace() {
    let collector = Collector::start().await;
    let deployment = Deployment::new().await;
    let (mut api, worker) = start_traced(&deployment, &collector, &[("LOG_FORMAT", "json")]).await;
    let user = TestUser::sign_in(api.address, "+14155550123").await;
    let chatroom = user.create_chatroom("x").await;
    let input = json!({"chatroomId": chatroom.id, "content": "hi"});
    let body = json!({"query": SEND_MESSAGE, "variables": {"input": input}});
    let request = user.http.post(format!("http://{}/graphql", api.address)).bearer_auth(&user.token);
    let request = request.header("traceparent", format!("00-{TRACE}-b7ad6b7169203331-01")).json(&body);
    request.send().await.unwrap();
    let accepted: Value = serde_json::from_str(&api.wait_for_log("message accepted").await).unwrap();
    assert_eq!(accepted["span"]["trace_id"], TRACE, "{accepted}");
    let ended = worker.unwrap_or(api).wait_for_log("reply ended").await;
    let ended: Value = serde_json::from_str(&ended).unwrap();
    assert_eq!(ended["span"]["trace_id"], TRACE, "{ended}");
}

#[tokio::test]
async fn each_operation_is_logged_at_debug_with_its_request_and_user() {
    let deployment = Deployment::new().await;
    let settings = [("LOG_FORMAT", "json"), ("RUST_LOG", "pollux=debug,warn")];
    let mut process = deployment.start_with(&[], &settings).await;
    let user = TestUser::sign_in(process.address, "+14155550123").await;
    user.data("query Mine { me { id } }", json!({})).await;
    let line = loop {
        let line: Value = serde_json::from_str(&process.wait_for_log("operation executed").await).unwrap();
        if line["fields"]["operation"] == "query Mine" {
            break line["fields"].clone();
        }
    };
    assert!(line["request_id"].is_string() && line["duration_us"].is_u64() && line["errors"] == 0, "{line}");
    assert_eq!(line["user_id"], user.id.parse::<entity::UserId>().unwrap().0.to_string());
    assert_eq!(line.get("trace_id"), None, "traces are off");
}
