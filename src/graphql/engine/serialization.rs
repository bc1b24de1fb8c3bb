//! Responses as JSON, the same on every transport.

use async_graphql::Response;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// A response to serialize. Without `data` if the operation was not executed, by the
/// [specification](https://spec.graphql.org/draft/#sec-Response-Format).
pub struct SerializedResponse<'a>(pub &'a Response);

impl Serialize for SerializedResponse<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = self;
        let mut map = serializer.serialize_map(None)?;
        if !is_rejected(response) {
            map.serialize_entry("data", &response.data)?;
        }
        if !response.errors.is_empty() {
            map.serialize_entry("errors", &response.errors)?;
        }
        if !response.extensions.is_empty() {
            map.serialize_entry("extensions", &response.extensions)?;
        }
        map.end()
    }
}

impl SerializedResponse<'_> {
    #[must_use]
    pub fn to_json(&self) -> String {
        // Serialization fails only for maps whose keys are not strings, and a response has none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether the operation was rejected before execution: an error of execution has a path.
#[must_use]
pub fn is_rejected(response: &Response) -> bool {
    !response.errors.is_empty() && response.errors.iter().all(|error| error.path.is_empty())
}
