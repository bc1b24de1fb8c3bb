//! Ends the trace span of a query or a mutation and writes its log line. Both contain only ids and names, never text that
//! users wrote.

use std::time::Duration;

use async_graphql::{Response, Value};
use entity::UserId;

use crate::telemetry::{
    metrics::OperationMetrics,
    traces::{Span, TraceContext},
};

/// Writes the log line, at level debug.
pub(super) fn log(
    operation: &OperationMetrics,
    request_id: &str,
    user: Option<UserId>,
    trace: Option<TraceContext>,
    duration: Duration,
    errors: usize,
) {
    tracing::debug!(
        request_id,
        trace_id = trace.map(TraceContext::trace_id),
        user_id = user.map(|user| user.0.to_string()),
        operation = operation.label(),
        duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX),
        errors,
        "operation executed"
    );
}

/// Ends the span. If the response has errors, marks the span as failed, and adds the trace id to those that have a request id,
/// such as internal errors.
pub(super) fn end_span(mut span: Span, response: &mut Response) {
    let Some(trace) = span.context() else { return };
    for error in &mut response.errors {
        let Some(extensions) = &mut error.extensions else { continue };
        if let Some(Value::String(code)) = extensions.get("code") {
            span.fail(code);
        }
        if extensions.get("requestId").is_some() {
            extensions.set("traceId", trace.trace_id());
        }
    }
}
