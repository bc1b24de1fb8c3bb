//! Metrics of connections and of subscriptions.

use prometheus::{IntCounter, IntGauge, Registry};

use super::{counters, gauge, gauges};

/// What carries the events of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    WebSocket,
    EventStream,
    Multipart,
}

impl Transport {
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

/// Counts something as open until it is dropped.
pub struct OpenGuard(IntGauge);

impl OpenGuard {
    pub(super) fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for OpenGuard {
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
            subscriptions: Transport::ALL.map(|of| open.with_label_values(&[of.label()])),
            events: Transport::ALL.map(|of| events.with_label_values(&[of.label()])),
        }
    }

    #[must_use]
    pub fn connection_opened(&self) -> OpenGuard {
        OpenGuard::new(&self.connections)
    }

    #[must_use]
    pub fn websocket_opened(&self) -> OpenGuard {
        OpenGuard::new(&self.websockets)
    }

    #[must_use]
    pub fn subscription_opened(&self, transport: Transport) -> OpenGuard {
        OpenGuard::new(&self.subscriptions[transport as usize])
    }

    pub fn event_sent(&self, transport: Transport) {
        self.events[transport as usize].inc();
    }
}
