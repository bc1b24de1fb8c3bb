//! Settings of traces, with the names that [OpenTelemetry](https://opentelemetry.io/docs/languages/sdk-configuration/) defines.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

#[derive(Clone, Debug, clap::Args)]
pub struct TraceSettings {
    /// URL of an OpenTelemetry collector that receives traces by OTLP over HTTP, such as http://localhost:4318 [default: none]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true)]
    otel_exporter_otlp_endpoint: Option<Url>,

    /// Headers of requests to the collector, as in name=value,name=value
    #[arg(long, env = "OTEL_EXPORTER_OTLP_HEADERS", hide_env_values = true, value_parser = super::secret)]
    otel_exporter_otlp_headers: Option<SecretString>,

    /// Name of this service in traces
    #[arg(long, env = "OTEL_SERVICE_NAME", hide_env_values = true, default_value = "pollux")]
    pub otel_service_name: String,

    /// Share of new traces that are sampled, from 0 to 1. The decision of an incoming traceparent takes precedence
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", hide_env_values = true, default_value = "1", value_parser = ratio)]
    pub otel_traces_sampler_arg: f64,
}

fn ratio(text: &str) -> Result<f64, String> {
    let parsed = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
    parsed.ok_or_else(|| "must be a number from 0 to 1".to_owned())
}

impl TraceSettings {
    /// The URL that receives traces; none if traces are off.
    #[must_use]
    pub fn endpoint(&self) -> Option<String> {
        let endpoint = self.otel_exporter_otlp_endpoint.as_ref()?;
        Some(format!("{}/v1/traces", endpoint.as_str().trim_end_matches('/')))
    }

    /// The names and values of the headers.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let text = self.otel_exporter_otlp_headers.as_ref().map_or("", |headers| headers.expose_secret());
        super::items(text)
            .filter_map(|header| header.split_once('='))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect()
    }
}
