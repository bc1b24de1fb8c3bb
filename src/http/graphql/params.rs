//! The parameters of a request, as [GraphQL over HTTP](https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters)
//! names them.

use std::collections::HashMap;

use async_graphql::{Request, Variables};
use serde_json::{Map, Value};

/// The most operations of a batch.
pub(super) const LONGEST_BATCH: usize = 10;

/// What a body asks for.
pub(super) enum Asked {
    One(Box<Request>),
    Many(Vec<Request>),
    TooMany,
}

/// Reads a body.
///
/// # Errors
/// A sentence that names the parameter.
pub(super) fn from_body(body: &[u8]) -> Result<Asked, String> {
    match serde_json::from_slice(body).map_err(|cause| format!("The body is not JSON: {cause}."))? {
        Value::Array(batch) if (1..=LONGEST_BATCH).contains(&batch.len()) => {
            batch.into_iter().map(from_json).collect::<Result<_, _>>().map(Asked::Many)
        }
        Value::Array(batch) if batch.is_empty() => {
            Err(format!("A batch must hold 1 to {LONGEST_BATCH} operations."))
        }
        Value::Array(_) => Ok(Asked::TooMany),
        one => from_json(one).map(|request| Asked::One(Box::new(request))),
    }
}

/// Reads the parameters of a URL, in which maps are JSON.
///
/// # Errors
/// A sentence that names the parameter.
pub(super) fn from_url(mut query: HashMap<String, String>) -> Result<Request, String> {
    let mut parameters = Map::new();
    for name in ["query", "operationName"] {
        if let Some(text) = query.remove(name) {
            parameters.insert(name.to_owned(), text.into());
        }
    }
    for name in ["variables", "extensions"] {
        if let Some(text) = query.remove(name).filter(|text| !text.is_empty()) {
            let value =
                serde_json::from_str(&text).map_err(|cause| format!("{name} is not JSON: {cause}."))?;
            parameters.insert(name.to_owned(), value);
        }
    }
    from_json(Value::Object(parameters))
}

fn from_json(value: Value) -> Result<Request, String> {
    let Value::Object(mut parameters) = value else {
        return Err("A request must be an object with `query`.".to_owned());
    };
    let extensions = map(&mut parameters, "extensions")?;
    let query = match parameters.remove("query") {
        Some(Value::String(query)) => query,
        // The document is named by its hash.
        None | Some(Value::Null) if extensions.get("persistedQuery").is_some() => String::new(),
        _ => return Err("query must be a string.".to_owned()),
    };
    let mut request = Request::new(query);
    request.extensions =
        serde_json::from_value(extensions).map_err(|cause| format!("extensions cannot be read: {cause}."))?;
    request.operation_name = match parameters.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err("operationName must be a string.".to_owned()),
    };
    request.variables = Variables::from_json(map(&mut parameters, "variables")?);
    Ok(request)
}

fn map(parameters: &mut Map<String, Value>, name: &str) -> Result<Value, String> {
    match parameters.remove(name) {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(map @ Value::Object(_)) => Ok(map),
        Some(_) => Err(format!("{name} must be a map.")),
    }
}
