//! Settings of metrics.

use std::net::{Ipv4Addr, SocketAddr};

const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

#[derive(Clone, Debug, clap::Args)]
pub struct MetricsSettings {
    /// Address and port that serve /metrics for Prometheus, and the health checks; off to serve none [default: 127.0.0.1:9090]
    ///
    /// If the default port is in use, the process starts without metrics and logs a warning.
    #[arg(long, env = "METRICS_BIND", hide_env_values = true, value_parser = parse)]
    metrics_bind: Option<MetricsBind>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MetricsBind {
    Off,
    At(SocketAddr),
}

fn parse(text: &str) -> Result<MetricsBind, String> {
    if text == "off" {
        return Ok(MetricsBind::Off);
    }
    text.parse().map(MetricsBind::At).map_err(|_| {
        "must be an IP address and a port, as in 127.0.0.1:9090, 0.0.0.0:9090 or [::]:9090, or off".to_owned()
    })
}

impl MetricsSettings {
    /// The address to listen on; none if metrics are off.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self.metrics_bind {
            None => Some(DEFAULT_ADDRESS),
            Some(MetricsBind::Off) => None,
            Some(MetricsBind::At(address)) => Some(address),
        }
    }

    /// Whether the address was set, so that the process must not start without it.
    #[must_use]
    pub fn is_explicit(&self) -> bool {
        self.metrics_bind.is_some()
    }
}
