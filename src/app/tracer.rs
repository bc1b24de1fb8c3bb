//! Starts the export of traces.

use std::time::Duration;

use entity::Timestamp;

use super::http_client;
use crate::{
    adapters::otlp::OtlpExporter, clock::Clock, config::Config, lifecycle::Lifecycle,
    telemetry::traces::Tracer,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Creates the tracer, and spawns the task that exports its spans. Without an endpoint, the tracer records nothing.
pub(super) fn tracer(config: &Config, clock: &Clock, life: &Lifecycle) -> anyhow::Result<Tracer> {
    let settings = &config.traces;
    let Some(endpoint) = settings.endpoint() else { return Ok(Tracer::default()) };
    let http = http_client(TIMEOUT)?;
    let exporter =
        OtlpExporter::new(http, endpoint, &settings.headers(), settings.otel_service_name.clone())?;
    let since_epoch = clock.now().signed_duration_since(Timestamp::UNIX_EPOCH).to_std().unwrap_or_default();
    let (tracer, finished) = Tracer::new(settings.otel_traces_sampler_arg, since_epoch);
    life.tasks.spawn(exporter.run(finished, life.closing.clone()));
    Ok(tracer)
}
