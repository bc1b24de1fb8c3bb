//! Traces: the spans of all work for one operation, across processes, by the
//! [W3C's trace context](https://www.w3.org/TR/trace-context/).
//!
//! ```text
//!  traceparent of the request ──► mutation ──► in the job's row ──► job (another process) ──► model call, first text, completion
//!                                    └──────────────── ended spans: FinishedSpan ──► exporter ──┘
//! ```
//!
//! The current span is a task-local value, which [`Span::scope`] sets. So functions do not pass spans to each other. While traces
//! are off, there is no current span, and everything here does nothing.

use std::{fmt, str::FromStr, time::Duration};

use futures_util::future::Either;
use tokio::{sync::mpsc, time::Instant};
use tracing::Instrument;
use uuid::Uuid;

/// The name of the header that carries a trace context, and of the field for it in the payload of a job.
pub const TRACE_PARENT: &str = "traceparent";
/// The maximum number of finished spans that wait for the exporter. Further ones are dropped.
const MAX_WAITING: usize = 8192;

tokio::task_local! {
    static CURRENT: CurrentSpan;
}

/// The span in which a task runs, and the tracer that starts the spans below it.
#[derive(Clone)]
struct CurrentSpan {
    tracer: Tracer,
    context: TraceContext,
}

/// The position of a span in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    trace: u128,
    span: u64,
    is_sampled: bool,
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{:032x}-{:016x}-{:02x}", self.trace, self.span, u8::from(self.is_sampled))
    }
}

/// A text that is not a valid `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidTraceParent;

impl FromStr for TraceContext {
    type Err = InvalidTraceParent;

    fn from_str(text: &str) -> Result<Self, InvalidTraceParent> {
        let mut parts = text.trim().split('-');
        let mut hex = |digits: usize| {
            let part = parts.next().filter(|part| part.len() == digits).ok_or(InvalidTraceParent)?;
            let is_hex = part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            u128::from_str_radix(part, 16).ok().filter(|_| is_hex).ok_or(InvalidTraceParent)
        };
        let (version, trace, span, flags) = (hex(2)?, hex(32)?, hex(16)?, hex(2)?);
        // A later version may have more parts than version 0.
        let has_valid_length = version > 0 || parts.next().is_none();
        let span = u64::try_from(span).map_err(|_| InvalidTraceParent)?;
        if version == 0xff || trace == 0 || span == 0 || !has_valid_length {
            return Err(InvalidTraceParent);
        }
        Ok(Self { trace, span, is_sampled: flags & 1 == 1 })
    }
}

impl TraceContext {
    /// The id of the trace, as log lines and errors show it.
    #[must_use]
    pub fn trace_id(self) -> String {
        format!("{:032x}", self.trace)
    }
}

/// The kind of a span, with its number in OpenTelemetry's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    Internal = 1,
    Server = 2,
    Client = 3,
    Consumer = 5,
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct FinishedSpan {
    pub trace_id: String,
    pub span_id: String,
    /// Empty for the first span of a trace.
    pub parent_id: String,
    pub name: String,
    pub kind: SpanKind,
    /// Times since the Unix epoch.
    pub started: Duration,
    pub ended: Duration,
    pub attributes: Vec<(&'static str, String)>,
    pub error: Option<String>,
}

/// Starts spans. Without an exporter, traces are off.
#[derive(Clone, Default)]
pub struct Tracer(Option<Exporter>);

#[derive(Clone)]
struct Exporter {
    finished: mpsc::Sender<FinishedSpan>,
    /// A new trace is sampled if a random number of 64 bits is at most this.
    max_sampled: u64,
    /// The time since the Unix epoch at the instant `anchor`. The times of spans are computed from both.
    since_epoch_at_anchor: Duration,
    anchor: Instant,
}

impl Tracer {
    /// Creates a tracer that samples this ratio of new traces, from 0 to 1. The receiver returns its finished spans.
    /// `since_epoch` is the current time since the Unix epoch.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a ratio of 2^64, which need not be exact"
    )]
    pub fn new(ratio: f64, since_epoch: Duration) -> (Self, mpsc::Receiver<FinishedSpan>) {
        let (finished, receiver) = mpsc::channel(MAX_WAITING);
        let max_sampled = (ratio.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
        let (since_epoch_at_anchor, anchor) = (since_epoch, Instant::now());
        (Self(Some(Exporter { finished, max_sampled, since_epoch_at_anchor, anchor })), receiver)
    }

    /// Starts a span below `parent`: it belongs to the same trace, and is sampled if `parent` is. Without a parent, starts a new
    /// trace, which is sampled with the tracer's ratio.
    #[must_use]
    pub fn span(&self, name: impl FnOnce() -> String, kind: SpanKind, parent: Option<TraceContext>) -> Span {
        let Some(exporter) = &self.0 else { return Span(None) };
        let (random, other_random) = Uuid::new_v4().as_u64_pair();
        // The id of a span must not be zero.
        let span = other_random | 1;
        let context = if let Some(parent) = parent {
            TraceContext { span, ..parent }
        } else {
            let trace = Uuid::new_v4().as_u128();
            TraceContext { trace, span, is_sampled: random <= exporter.max_sampled }
        };
        let data = context.is_sampled.then(|| SpanData {
            name: name(),
            kind,
            parent: parent.map(|parent| parent.span),
            started: Instant::now(),
            attributes: Vec::new(),
            error: None,
        });
        Span(Some(Box::new(OpenSpan { tracer: self.clone(), context, data })))
    }
}

/// A span, which ends when it is dropped. The default span does nothing.
#[derive(Default)]
pub struct Span(Option<Box<OpenSpan>>);

struct OpenSpan {
    tracer: Tracer,
    context: TraceContext,
    /// None if the trace is not sampled.
    data: Option<SpanData>,
}

struct SpanData {
    name: String,
    kind: SpanKind,
    parent: Option<u64>,
    started: Instant,
    attributes: Vec<(&'static str, String)>,
    error: Option<String>,
}

impl Span {
    /// The position of this span in its trace. None while traces are off.
    #[must_use]
    pub fn context(&self) -> Option<TraceContext> {
        self.0.as_ref().map(|open| open.context)
    }

    /// Adds an attribute. It must not hold personal data.
    pub fn set(&mut self, name: &'static str, value: impl fmt::Display) {
        if let Some(data) = self.data() {
            data.attributes.push((name, value.to_string()));
        }
    }

    /// Marks the span as failed.
    pub fn fail(&mut self, reason: &str) {
        if let Some(data) = self.data() {
            data.error = Some(reason.to_owned());
        }
    }

    /// Moves the start of the span into the past by this duration.
    pub fn started_before(&mut self, ago: Duration) {
        if let Some(data) = self.data() {
            data.started = data.started.checked_sub(ago).unwrap_or(data.started);
        }
    }

    /// Runs `work` with this span as the current one. The log lines of `work` carry the trace's id.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        match &self.0 {
            Some(open) => {
                let current = CurrentSpan { tracer: open.tracer.clone(), context: open.context };
                let trace_id = open.context.trace_id();
                Either::Left(CURRENT.scope(current, work.instrument(tracing::info_span!("trace", trace_id))))
            }
            None => Either::Right(work),
        }
    }

    fn data(&mut self) -> Option<&mut SpanData> {
        self.0.as_mut()?.data.as_mut()
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let Some(open) = self.0.take() else { return };
        let OpenSpan { tracer: Tracer(Some(exporter)), context, data: Some(data) } = *open else { return };
        let now = Instant::now();
        let since_epoch = |at: Instant| match at.checked_duration_since(exporter.anchor) {
            Some(after) => exporter.since_epoch_at_anchor + after,
            None => exporter.since_epoch_at_anchor.saturating_sub(exporter.anchor.duration_since(at)),
        };
        let finished = FinishedSpan {
            trace_id: context.trace_id(),
            span_id: format!("{:016x}", context.span),
            parent_id: data.parent.map(|parent| format!("{parent:016x}")).unwrap_or_default(),
            name: data.name,
            kind: data.kind,
            started: since_epoch(data.started),
            ended: since_epoch(now),
            attributes: data.attributes,
            error: data.error,
        };
        // If the exporter lags so much that the channel is full, the span is lost.
        let _ = exporter.finished.try_send(finished);
    }
}

/// The context of the current span. None if there is no current span, as always while traces are off.
#[must_use]
pub fn current() -> Option<TraceContext> {
    CURRENT.try_with(|current| current.context).ok()
}

/// Starts a span below the current one. Without a current span, returns a span that does nothing.
#[must_use]
pub fn span(name: &'static str, kind: SpanKind) -> Span {
    CURRENT
        .try_with(|CurrentSpan { tracer, context }| tracer.span(|| name.to_owned(), kind, Some(*context)))
        .unwrap_or(Span(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_parsed_as_specified() {
        let context: TraceContext = PARENT.parse().unwrap();
        assert_eq!((context.to_string().as_str(), context.is_sampled), (PARENT, true));
        let of_later_version = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-02-more";
        assert!(!of_later_version.parse::<TraceContext>().unwrap().is_sampled);
        for invalid in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            assert_eq!(invalid.parse::<TraceContext>(), Err(InvalidTraceParent), "{invalid}");
        }
    }

    #[tokio::test]
    async fn a_span_is_nested_in_its_scope_and_sampled_if_its_parent_is() {
        let (tracer, mut finished) = Tracer::new(0.0, Duration::from_secs(100));
        drop(tracer.span(|| "not sampled".to_owned(), SpanKind::Server, None));
        let outer = tracer.span(|| "outer".to_owned(), SpanKind::Server, PARENT.parse().ok());
        outer.scope(async { drop(span("inner", SpanKind::Client)) }).await;
        let outer_id = format!("{:016x}", outer.context().unwrap().span);
        drop(outer);
        let (inner, outer) = (finished.recv().await.unwrap(), finished.recv().await.unwrap());
        assert_eq!((inner.name.as_str(), &inner.parent_id), ("inner", &outer_id));
        assert_eq!((outer.parent_id.as_str(), outer.trace_id), ("b7ad6b7169203331", inner.trace_id));
        assert!(outer.started >= Duration::from_secs(100) && outer.ended >= outer.started);
        assert!(finished.try_recv().is_err() && current().is_none());
    }
}
