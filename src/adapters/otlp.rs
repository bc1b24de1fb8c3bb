//! Exports ended spans to an OpenTelemetry collector, by [OTLP](https://opentelemetry.io/docs/specs/otlp/#otlphttp) over HTTP in its
//! JSON form. While the collector does not respond, spans are lost, and one warning is logged.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::telemetry::traces::Finished;

/// The maximum number of spans in one request.
const MAX_BATCH: usize = 512;
/// How long spans wait for others.
const DELAY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(10);

pub struct OtlpExporter {
    http: reqwest::Client,
    endpoint: String,
    headers: HeaderMap,
    service: String,
}

impl OtlpExporter {
    /// # Errors
    /// A header is invalid. The error contains no value.
    pub fn new(
        http: reqwest::Client,
        endpoint: String,
        headers: &[(String, String)],
        service: String,
    ) -> anyhow::Result<Self> {
        let parse = |(name, value): &(String, String)| {
            let mut value = HeaderValue::from_str(value).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(name).ok()?, value))
        };
        let headers = headers.iter().map(parse).collect::<Option<HeaderMap>>();
        let headers = headers.ok_or_else(|| {
            anyhow::anyhow!(
                "OTEL_EXPORTER_OTLP_HEADERS must be headers such as name=value, separated by commas"
            )
        })?;
        Ok(Self { http, endpoint, headers, service })
    }

    /// Exports spans until `closing` is cancelled, and then those that wait.
    pub async fn run(self, mut finished: mpsc::Receiver<Finished>, closing: CancellationToken) {
        let mut is_failing = false;
        loop {
            let mut batch = Vec::new();
            let is_open = closing.run_until_cancelled(finished.recv_many(&mut batch, MAX_BATCH)).await;
            if is_open.is_some() {
                closing.run_until_cancelled(tokio::time::sleep(DELAY)).await;
            }
            while batch.len() < MAX_BATCH
                && let Ok(span) = finished.try_recv()
            {
                batch.push(span);
            }
            if !batch.is_empty() {
                let exported = self.export(&batch).await;
                match exported {
                    Err(error) if !std::mem::replace(&mut is_failing, true) => {
                        tracing::warn!(
                            error = format!("{error:#}"),
                            "exporting traces failed; spans are lost"
                        );
                    }
                    Err(_) => {}
                    Ok(()) => is_failing = false,
                }
            }
            if is_open.is_none() || is_open == Some(0) {
                return;
            }
        }
    }

    async fn export(&self, spans: &[Finished]) -> anyhow::Result<()> {
        let spans: Vec<Value> = spans.iter().map(span_json).collect();
        let attribute = |name: &str, value: &str| json!({"key": name, "value": {"stringValue": value}});
        let resource = json!([
            attribute("service.name", &self.service),
            attribute("service.version", env!("CARGO_PKG_VERSION")),
        ]);
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": { "name": "pollux" }, "spans": spans }],
        }] });
        let request = self.http.post(&self.endpoint).headers(self.headers.clone()).json(&body);
        let response = timeout(TIMEOUT, request.send()).await?.map_err(reqwest::Error::without_url)?;
        anyhow::ensure!(response.status().is_success(), "the collector returned {}", response.status());
        Ok(())
    }
}

fn span_json(span: &Finished) -> Value {
    let attributes: Vec<_> = span
        .attributes
        .iter()
        .map(|(name, value)| json!({"key": name, "value": {"stringValue": value}}))
        .collect();
    let status = match &span.error {
        Some(message) => json!({"code": 2, "message": message}),
        None => json!({}),
    };
    json!({
        "traceId": span.trace_id, "spanId": span.span_id, "parentSpanId": span.parent_id,
        "name": span.name, "kind": span.kind as u8,
        "startTimeUnixNano": span.started.as_nanos().to_string(), "endTimeUnixNano": span.ended.as_nanos().to_string(),
        "attributes": attributes, "status": status,
    })
}
