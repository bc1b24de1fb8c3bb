//! Serializes responses to JSON in the same way for every transport.

use async_graphql::{Response, Value};
use bytes::Bytes;
use serde::Serialize;

/// A response to serialize. As the [specification](https://spec.graphql.org/draft/#sec-Response-Format) requires, it has no
/// `data` if the operation was not executed.
pub struct SerializedResponse<'a>(pub &'a Response);

impl SerializedResponse<'_> {
    #[must_use]
    pub fn to_json(&self) -> String {
        self.append_to(String::new())
    }

    /// The text followed by this response as JSON.
    #[must_use]
    pub fn append_to(&self, text: String) -> String {
        let Self(response) = self;
        let mut json = text;
        json.reserve(ENVELOPE_BYTES + json_len(&response.data));
        json.push('{');
        let has_data = !is_rejected(response);
        if has_data {
            json.push_str("\"data\":");
            match &response.data {
                // No field has a binary value, so this is data that has already been serialized to JSON: that of a kept response,
                // or of a filled template. JSON is UTF-8.
                Value::Binary(data) => json.push_str(str::from_utf8(data).unwrap_or("null")),
                data => json = append_json(json, data, 0),
            }
        }
        if !response.errors.is_empty() {
            json.push_str(if has_data { ",\"errors\":" } else { "\"errors\":" });
            json = append_json(json, &response.errors, 0);
        }
        if !response.extensions.is_empty() {
            json = append_json(json + ",\"extensions\":", &response.extensions, 0);
        }
        json + "}"
    }
}

/// The text followed by a value as JSON, which takes about `len` bytes. All of them are reserved before serialization: a buffer
/// that grows by doubling would take up to three times the size of a large response while it is copied.
pub fn append_json(text: String, value: &impl Serialize, len: usize) -> String {
    let mut json = text.into_bytes();
    json.reserve(len);
    // Serialization fails only for maps whose keys are not strings, and a response has none. JSON is UTF-8.
    match serde_json::to_writer(&mut json, value) {
        Ok(()) => String::from_utf8(json).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

/// The data of a response as JSON. As a [`Value::Binary`], it can be the data of a later response.
pub(super) fn data_json(response: &Response) -> Bytes {
    append_json(String::new(), &response.data, json_len(&response.data)).into()
}

/// The capacity reserved for the keys of the response itself, and for short errors and extensions.
const ENVELOPE_BYTES: usize = 256;

/// The length of a value as JSON, in bytes, if no text has to be escaped. Each number counts as the longest one.
fn json_len(value: &Value) -> usize {
    match value {
        Value::Null | Value::Boolean(_) => 5,
        Value::Enum(name) => name.len() + 2,
        Value::Number(_) => 24,
        Value::Binary(json) => json.len(),
        Value::String(text) => text.len() + 2,
        Value::List(items) => 2 + items.iter().map(|item| json_len(item) + 1).sum::<usize>(),
        Value::Object(fields) => {
            2 + fields.iter().map(|(name, value)| name.len() + 4 + json_len(value)).sum::<usize>()
        }
    }
}

/// Whether the operation was rejected before execution, or its execution panicked: the response has errors, and none of them has
/// a path. Only errors of fields have one.
#[must_use]
pub fn is_rejected(response: &Response) -> bool {
    !response.errors.is_empty() && response.errors.iter().all(|error| error.path.is_empty())
}

#[cfg(test)]
mod tests {
    use async_graphql::{PathSegment, ServerError, value};

    use super::*;

    #[test]
    fn a_response_without_escapes_is_serialized_without_growing_its_buffer() {
        let data = value!({
            "text": "x".repeat(100_000), "list": [1, -2, 3.5, true, null], "object": { "empty": {}, "none": [] }
        });
        let response = Response::new(data);
        let json = SerializedResponse(&response).to_json();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&json).unwrap()["data"],
            response.data.clone().into_json().unwrap()
        );
        assert!(json.capacity() < json.len() + 1024, "{} of {}", json.len(), json.capacity());
    }

    #[test]
    fn a_response_contains_its_data_errors_and_extensions() {
        let serialized = Response::new(Value::Binary(r#"{"a":"\"é"}"#.into()));
        assert_eq!(SerializedResponse(&serialized).to_json(), r#"{"data":{"a":"\"é"}}"#);

        let error =
            ServerError { path: vec![PathSegment::Field("a".to_owned())], ..ServerError::new("x", None) };
        let mut partial = Response::new(value!({ "a": null }));
        partial.errors.push(error);
        partial.extensions.insert("b".to_owned(), value!(1));
        assert_eq!(
            SerializedResponse(&partial).append_to("data: ".to_owned()),
            r#"data: {"data":{"a":null},"errors":[{"message":"x","path":["a"]}],"extensions":{"b":1}}"#
        );

        let mut rejected = Response::from_errors(vec![ServerError::new("y", None)]);
        assert_eq!(SerializedResponse(&rejected).to_json(), r#"{"errors":[{"message":"y"}]}"#);
        rejected.extensions.insert("b".to_owned(), value!(1));
        assert_eq!(
            SerializedResponse(&rejected).to_json(),
            r#"{"errors":[{"message":"y"}],"extensions":{"b":1}}"#
        );
    }

    #[test]
    fn escaped_text_is_serialized_whole() {
        let response = Response::new(value!({ "text": "\"\n".repeat(1000) }));
        let json: serde_json::Value = serde_json::from_str(&SerializedResponse(&response).to_json()).unwrap();
        assert_eq!(json["data"]["text"], "\"\n".repeat(1000));
    }
}
