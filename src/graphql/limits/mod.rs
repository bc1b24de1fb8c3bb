//! What a request may ask for, found out in linear time and before anything else reads it.
//!
//! ```text
//!  text ──► tokens: short and flat? ──► parser ──► weight: few fields, however fragments are spread? ──► validation
//! ```
//!
//! Whatever walks a document afterwards, and follows every spread, walks a bounded way.

mod tokens;
mod weight;

use async_graphql::{Request, Response, Value, parser::types::ExecutableDocument};

use super::rejection;

/// Uses of variables times the bytes of what they stand for: each use may be a copy.
const COPIED: usize = 1024 * 1024;

/// Why a document is not executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is more than `max` of what `limit` names.
    TooMuch { limit: &'static str, max: usize },
    /// It is not of the language.
    Unreadable(&'static str),
    /// It cannot be executed.
    Invalid(String),
}

/// What is answered to a request that has more than `max` of what `limit` names.
#[must_use]
pub fn too_much(limit: &str, max: usize) -> Response {
    let message = format!("The request is past a limit: {limit}, of which at most {max} are allowed.");
    let mut response = rejection("QUERY_TOO_COMPLEX", message);
    let extensions = response.errors[0].extensions.get_or_insert_default();
    extensions.set("limit", limit);
    extensions.set("max", max);
    response
}

impl Refusal {
    pub(super) fn response(&self) -> Response {
        match self {
            Self::TooMuch { limit, max } => too_much(limit, *max),
            Self::Unreadable(why) => rejection("GRAPHQL_PARSE_FAILED", *why),
            Self::Invalid(why) => rejection("GRAPHQL_VALIDATION_FAILED", why.clone()),
        }
    }
}

fn within(limit: &'static str, count: usize, max: usize) -> Result<(), Refusal> {
    if count > max { Err(Refusal::TooMuch { limit, max }) } else { Ok(()) }
}

/// Checks a request whose document has not been read.
///
/// # Errors
/// The first limit that it is past.
pub(super) fn check_request(request: &Request) -> Result<(), Refusal> {
    let counted = tokens::count(&request.query)?;
    let values = request.variables.values().map(bytes).fold(counted.longest_string, usize::saturating_add);
    within("bytes of variables times their uses", values.saturating_mul(counted.variables), COPIED)
}

/// About as many as are sent for it.
fn bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.iter().map(|item| bytes(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + bytes(value)).sum(),
        _ => 4,
    }
}

/// Checks a document that has been read, for a schema that has input types of these names.
///
/// # Errors
/// The first limit that it is past.
pub(super) fn check_document(
    document: &ExecutableDocument,
    is_input_type: impl Fn(&str) -> bool,
) -> Result<(), Refusal> {
    weight::check(document)?;
    for (_, operation) in document.operations.iter() {
        for variable in &operation.node.variable_definitions {
            let of = variable.node.var_type.node.to_string();
            let name = of.trim_matches(['[', ']', '!']);
            // Validation would look it up before it says so.
            if !is_input_type(name) {
                return Err(Refusal::Invalid(format!("Unknown type \"{name}\" of a variable.")));
            }
        }
    }
    Ok(())
}
