//! The parts of Stripe's webhook events that are the same in every version of its API.
//!
//! This module defines only the shape of events; `webhook` and `reversal` decide what an event means.

use serde::Deserialize;

/// A webhook event: <https://docs.stripe.com/api/events/object>.
#[derive(Deserialize)]
pub(super) struct EventPayload {
    pub(super) id: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) data: EventData,
}

#[derive(Deserialize)]
pub(super) struct EventData {
    pub(super) object: EventObject,
}

/// The object that changed: a checkout session, subscription, invoice, charge or dispute.
#[derive(Deserialize)]
pub(super) struct EventObject {
    pub(super) id: Option<String>,
    pub(super) customer: Option<Reference>,
    /// The charge of a dispute.
    pub(super) charge: Option<Reference>,
    pub(super) status: Option<String>,
    /// Whether a charge was refunded in full.
    pub(super) refunded: Option<bool>,
}

/// A reference to another object: its id, or the [expanded](https://docs.stripe.com/api/expanding_objects) object.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Reference {
    Id(String),
    Expanded { id: String },
}

impl Reference {
    pub(super) fn into_id(self) -> String {
        match self {
            Self::Id(id) | Self::Expanded { id } => id,
        }
    }
}
