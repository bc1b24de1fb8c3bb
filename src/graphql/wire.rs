//! A response as it is written, on every transport.

use async_graphql::Response;
use serde::{Serialize, Serializer, ser::SerializeMap};

/// Without `data` where the operation was not executed, as the
/// [specification](https://spec.graphql.org/draft/#sec-Response-Format) has it.
pub struct Wire<'a>(pub &'a Response);

impl Serialize for Wire<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(response) = self;
        let mut map = serializer.serialize_map(None)?;
        if !is_refused(response) {
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

impl Wire<'_> {
    #[must_use]
    pub fn to_json(&self) -> String {
        // Only a map with keys that are no strings cannot be written, and there is none.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// Whether an operation failed before it was executed: what fails in execution has a path.
#[must_use]
pub fn is_refused(response: &Response) -> bool {
    !response.errors.is_empty() && response.errors.iter().all(|error| error.path.is_empty())
}
