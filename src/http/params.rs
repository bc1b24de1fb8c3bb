//! The parameters of a request: the same in a body, in a URL and in a WebSocket message. They are specified by
//! [GraphQL over HTTP](https://graphql.github.io/graphql-over-http/draft/#sec-Request-Parameters).

use std::collections::HashMap;

use async_graphql::{Request, Response, Variables};
use serde_json::{Map, Value};

use super::json::{self, UnpairedSurrogates};
use crate::graphql::{ErrorCode, rejection};

/// The maximum number of operations in a batch.
pub(super) const MAX_BATCH: usize = 10;

/// The operations of a body.
pub(super) enum Body {
    Single(Box<Result<Request, BadParameter>>),
    /// Each operation has its own response.
    Batch(Vec<Result<Request, BadParameter>>),
    BatchTooLong {
        count: usize,
    },
}

/// A parameter that is invalid.
#[derive(Debug)]
pub(super) struct BadParameter {
    pub(super) message: String,
    /// The last name of the parameter's path, such as `content` of `variables.input.content`. Only errors about Unicode have it.
    field: Option<String>,
}

impl BadParameter {
    /// The response to the operation that has this parameter.
    pub(super) fn response(self) -> Response {
        let mut response = rejection(ErrorCode::BadUserInput, self.message);
        if let (Some(field), Some(error)) = (self.field, response.errors.first_mut()) {
            error.extensions.get_or_insert_default().set("field", field);
        }
        response
    }
}

impl From<String> for BadParameter {
    fn from(message: String) -> Self {
        Self { message, field: None }
    }
}

impl From<&str> for BadParameter {
    fn from(message: &str) -> Self {
        message.to_owned().into()
    }
}

/// Parses a body.
///
/// # Errors
/// The body as a whole is invalid.
pub(super) fn from_body(body: &[u8]) -> Result<Body, String> {
    let json::Json { value, unpaired } =
        json::parse(body).map_err(|cause| format!("The body is not JSON: {cause}."))?;
    match value {
        Value::Array(batch) if (1..=MAX_BATCH).contains(&batch.len()) => {
            Ok(Body::Batch(batch.into_iter().map(|operation| from_json(operation, unpaired)).collect()))
        }
        Value::Array(batch) if batch.is_empty() => {
            Err(format!("A batch must hold 1 to {MAX_BATCH} operations."))
        }
        Value::Array(batch) => Ok(Body::BatchTooLong { count: batch.len() }),
        operation => Ok(Body::Single(Box::new(from_json(operation, unpaired)))),
    }
}

/// Parses the parameters of a URL, in which `variables` and `extensions` are JSON texts.
///
/// # Errors
/// A parameter is invalid. The error names it.
pub(super) fn from_url(mut query: HashMap<String, String>) -> Result<Request, BadParameter> {
    let mut parameters = Map::new();
    for name in ["query", "operationName"] {
        if let Some(text) = query.remove(name) {
            parameters.insert(name.to_owned(), text.into());
        }
    }
    for name in ["variables", "extensions"] {
        if let Some(text) = query.remove(name).filter(|text| !text.is_empty()) {
            let parsed =
                json::parse(text.as_bytes()).map_err(|cause| format!("{name} is not JSON: {cause}."))?;
            check_unicode(name, &parsed.value, parsed.unpaired)?;
            parameters.insert(name.to_owned(), parsed.value);
        }
    }
    from_json(Value::Object(parameters), UnpairedSurrogates::default())
}

/// Parses an operation's parameters.
///
/// # Errors
/// A parameter is invalid. The error names it.
pub(super) fn from_json(value: Value, unpaired: UnpairedSurrogates) -> Result<Request, BadParameter> {
    let Value::Object(mut parameters) = value else {
        return Err("A request must be an object with `query`.".into());
    };
    for (name, value) in &parameters {
        check_unicode(name, value, unpaired)?;
    }
    let extensions = take_object(&mut parameters, "extensions")?;
    let query = match parameters.remove("query") {
        Some(Value::String(query)) => query,
        // The request does not contain its document, but names it by its hash.
        None | Some(Value::Null) if extensions.get("persistedQuery").is_some() => String::new(),
        _ => return Err("query must be a string.".into()),
    };
    let mut request = Request::new(query);
    request.extensions =
        serde_json::from_value(extensions).map_err(|cause| format!("extensions is invalid: {cause}."))?;
    request.operation_name = match parameters.remove("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
        Some(_) => return Err("operationName must be a string.".into()),
    };
    request.variables = Variables::from_json(take_object(&mut parameters, "variables")?);
    Ok(request)
}

/// Rejects text that is not valid Unicode.
fn check_unicode(name: &str, value: &Value, unpaired: UnpairedSurrogates) -> Result<(), BadParameter> {
    let Some(path) = unpaired.path_in(value) else { return Ok(()) };
    let path = if path.is_empty() { name.to_owned() } else { format!("{name}.{path}") };
    let field = path.rsplit('.').next().map(str::to_owned);
    Err(BadParameter {
        message: format!("{path} is not valid Unicode: it contains an unpaired surrogate."),
        field,
    })
}

/// Removes a parameter that must be an object, and returns it. If it is omitted or null, returns an empty object.
fn take_object(parameters: &mut Map<String, Value>, name: &str) -> Result<Value, BadParameter> {
    match parameters.remove(name) {
        None | Some(Value::Null) => Ok(Value::Object(Map::new())),
        Some(map @ Value::Object(_)) => Ok(map),
        Some(_) => Err(format!("{name} must be an object.").into()),
    }
}
