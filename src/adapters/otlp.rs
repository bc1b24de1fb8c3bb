//! Exports finished spans to an OpenTelemetry collector, by [OTLP](https://opentelemetry.io/docs/specs/otlp/#otlphttp) over HTTP,
//! in its JSON form. While the collector does not respond, spans are lost, and one warning is logged.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Serialize;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::telemetry::traces::FinishedSpan;

/// The maximum number of spans in one request.
const MAX_BATCH: usize = 512;
/// How long to wait for more spans before a batch that is not full is exported.
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
    /// A header is invalid. The error does not contain the header's value.
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

    /// Exports spans until `closing` is cancelled, and then the remaining ones.
    pub async fn run(self, mut finished: mpsc::Receiver<FinishedSpan>, closing: CancellationToken) {
        let mut is_failing = false;
        while let Some(batch) = next_batch(&mut finished, &closing).await {
            match self.export(&batch).await {
                Err(error) if !std::mem::replace(&mut is_failing, true) => {
                    tracing::warn!(error = format!("{error:#}"), "exporting traces failed; spans are lost");
                }
                Err(_) => {}
                Ok(()) => is_failing = false,
            }
        }
    }

    async fn export(&self, spans: &[FinishedSpan]) -> anyhow::Result<()> {
        let attributes = [
            Attribute::new("service.name", &self.service),
            Attribute::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let scope_spans = [ScopeSpans { spans: spans.iter().map(Record::of).collect() }];
        let body =
            Body { resource_spans: [ResourceSpans { resource: Resource { attributes }, scope_spans }] };
        let request = self.http.post(&self.endpoint).headers(self.headers.clone()).json(&body);
        let response = timeout(TIMEOUT, request.send()).await?.map_err(reqwest::Error::without_url)?;
        anyhow::ensure!(response.status().is_success(), "the collector returned {}", response.status());
        Ok(())
    }
}

/// Waits for spans, and then up to [`DELAY`] for more, unless the batch is already full. Returns none once `closing` is cancelled
/// and no span is left.
async fn next_batch(
    finished: &mut mpsc::Receiver<FinishedSpan>,
    closing: &CancellationToken,
) -> Option<Vec<FinishedSpan>> {
    let mut batch = Vec::new();
    closing.run_until_cancelled(finished.recv_many(&mut batch, MAX_BATCH)).await;
    if batch.len() < MAX_BATCH {
        closing.run_until_cancelled(tokio::time::sleep(DELAY)).await;
    }
    while batch.len() < MAX_BATCH
        && let Ok(span) = finished.try_recv()
    {
        batch.push(span);
    }
    (!batch.is_empty()).then_some(batch)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    resource_spans: [ResourceSpans<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans<'a> {
    resource: Resource<'a>,
    scope_spans: [ScopeSpans<'a>; 1],
}

#[derive(Serialize)]
struct Resource<'a> {
    attributes: [Attribute<'a>; 2],
}

#[derive(Serialize)]
struct ScopeSpans<'a> {
    spans: Vec<Record<'a>>,
}

/// A span in OTLP's JSON form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    trace_id: &'a str,
    span_id: &'a str,
    parent_span_id: &'a str,
    name: &'a str,
    kind: u8,
    start_time_unix_nano: String,
    end_time_unix_nano: String,
    attributes: Vec<Attribute<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<Status<'a>>,
}

#[derive(Serialize)]
struct Attribute<'a> {
    key: &'a str,
    value: AttributeValue<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttributeValue<'a> {
    string_value: &'a str,
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

/// OTLP's code of a status that is an error.
const ERROR: u8 = 2;

impl<'a> Record<'a> {
    fn of(span: &'a FinishedSpan) -> Self {
        Self {
            trace_id: &span.trace_id,
            span_id: &span.span_id,
            parent_span_id: &span.parent_id,
            name: &span.name,
            kind: span.kind as u8,
            start_time_unix_nano: span.started.as_nanos().to_string(),
            end_time_unix_nano: span.ended.as_nanos().to_string(),
            attributes: span.attributes.iter().map(|(name, value)| Attribute::new(name, value)).collect(),
            status: span.error.as_deref().map(|message| Status { code: ERROR, message }),
        }
    }
}

impl<'a> Attribute<'a> {
    fn new(key: &'a str, value: &'a str) -> Self {
        Self { key, value: AttributeValue { string_value: value } }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::telemetry::traces::{SpanKind, Tracer};

    #[tokio::test(start_paused = true)]
    async fn spans_of_a_burst_are_exported_without_delay() {
        let (tracer, mut finished) = Tracer::new(1.0, Duration::ZERO);
        for _ in 0..=2 * MAX_BATCH {
            drop(tracer.span(|| "one of many".to_owned(), SpanKind::Internal, None));
        }
        let (closing, started) = (CancellationToken::new(), Instant::now());
        for _ in 0..2 {
            assert_eq!(next_batch(&mut finished, &closing).await.unwrap().len(), MAX_BATCH);
        }
        assert_eq!(started.elapsed(), Duration::ZERO);
        closing.cancel();
        assert_eq!(next_batch(&mut finished, &closing).await.unwrap().len(), 1);
        assert!(next_batch(&mut finished, &closing).await.is_none());
    }
}
