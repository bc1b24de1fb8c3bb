//! Metrics of connections and of subscriptions.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{counters, gauge, gauges};

/// The protocol that carries the events of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    EventStream,
    Multipart,
}

impl Transport {
    /// In the order of the variants, because `transport as usize` is an index into arrays of metrics.
    const ALL: [Self; 3] = [Self::WebSocket, Self::EventStream, Self::Multipart];

    fn label(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::EventStream => "sse",
            Self::Multipart => "multipart",
        }
    }
}

#[derive(Clone)]
pub struct TransportMetrics {
    connections: IntGauge,
    websockets: IntGauge,
    subscriptions: [IntGauge; 3],
    events: [IntCounter; 3],
}

/// Increments a gauge, and decrements it when this is dropped.
pub struct GaugeGuard(IntGauge);

impl GaugeGuard {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl TransportMetrics {
    pub(super) fn new(registry: &Registry) -> Self {
        let labels = ["transport"];
        let open =
            gauges(registry, "pollux_subscriptions_open", "Running subscriptions, by transport.", &labels);
        let events = counters(
            registry,
            "pollux_subscription_events_total",
            "Events of subscriptions that were handed to their transport.",
            &labels,
        );
        Self {
            connections: gauge(registry, "pollux_http_connections_open", "Open connections of the API."),
            websockets: gauge(registry, "pollux_websockets_open", "Open WebSockets."),
            subscriptions: Transport::ALL.map(|transport| open.with_label_values(&[transport.label()])),
            events: Transport::ALL.map(|transport| events.with_label_values(&[transport.label()])),
        }
    }

    #[must_use]
    pub fn connection_opened(&self) -> GaugeGuard {
        GaugeGuard::new(&self.connections)
    }

    #[must_use]
    pub fn websocket_opened(&self) -> GaugeGuard {
        GaugeGuard::new(&self.websockets)
    }

    #[must_use]
    pub fn subscription_opened(&self, transport: Transport) -> GaugeGuard {
        GaugeGuard::new(&self.subscriptions[transport as usize])
    }

    pub fn event_sent(&self, transport: Transport) {
        self.events[transport as usize].inc();
    }
}
