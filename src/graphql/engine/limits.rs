//! The limits of an operation, and the errors of requests that exceed them.

use async_graphql::{Pos, Response};

use super::{error::rejection, error_code::ErrorCode};

/// Nested fields.
const DEPTH: usize = 12;
/// Nested fields of an introspection query, whose types refer to each other.
const INTROSPECTION_DEPTH: usize = 16;
/// Nested lists of an introspection query. Each multiplies the response.
const INTROSPECTION_LISTS: usize = 3;
/// Fields and spreads that normalization visits. The fields of a fragment count at each of its spreads.
pub(super) const FIELDS: usize = 2000;
/// Aliases in one selection set.
pub(super) const ALIASES: usize = 30;
/// Fields, where the fields of an item count once for each item of its page.
pub(super) const COMPLEXITY: usize = 2000;
/// Bytes of the arguments of a normalized operation. Each use of a variable is a copy.
pub(super) const COPIED: usize = 1024 * 1024;

/// Why an operation is not executed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The request exceeds the maximum of a limit.
    TooMuch { limit: &'static str, max: usize },
    /// The text is not GraphQL.
    Syntax(Vec<Fault>),
    /// The document does not fit the schema.
    Invalid(Vec<Fault>),
    /// The variable's value does not fit its type.
    Variable { path: String, expected: String },
}

/// A problem and its position in the document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) position: Option<Pos>,
}

impl Refusal {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault { message: message.into(), position: None }])
    }

    pub(super) fn response(self) -> Response {
        match self {
            Self::TooMuch { limit, max } => too_much(limit, max),
            Self::Syntax(faults) => faulty(ErrorCode::GraphqlParseFailed, faults),
            Self::Invalid(faults) => faulty(ErrorCode::GraphqlValidationFailed, faults),
            Self::Variable { path, expected } => {
                let mut response =
                    rejection(ErrorCode::BadUserInput, format!("Variable \"${path}\" {expected}."));
                response.errors[0].extensions.get_or_insert_default().set("field", path);
                response
            }
        }
    }
}

fn faulty(code: ErrorCode, faults: Vec<Fault>) -> Response {
    let errors = faults.into_iter().flat_map(|fault| {
        let mut errors = rejection(code, fault.message).errors;
        errors[0].locations = fault.position.into_iter().collect();
        errors
    });
    Response::from_errors(errors.collect())
}

/// The response to a request that exceeds the maximum of a limit.
#[must_use]
pub fn too_much(limit: &str, max: usize) -> Response {
    let message = format!("Request {limit} exceeds the maximum of {max}.");
    let mut response = rejection(ErrorCode::QueryTooComplex, message);
    let extensions = response.errors[0].extensions.get_or_insert_default();
    extensions.set("limit", limit);
    extensions.set("max", max);
    response
}

pub(super) fn within(limit: &'static str, count: usize, max: usize) -> Result<(), Refusal> {
    if count > max { Err(Refusal::TooMuch { limit, max }) } else { Ok(()) }
}

/// The depth of a selection set.
#[derive(Clone, Copy, Default)]
pub(super) struct Level {
    depth: usize,
    /// Within `__schema` and `__type`: the depth and the number of lists, counted from there.
    pub(super) introspection: Option<(usize, usize)>,
}

impl Level {
    /// The level of the selection set of this field.
    pub(super) fn below(self, field: &str) -> Result<Self, Refusal> {
        let Some((depth, lists)) = self.introspection else {
            let depth = self.depth + 1;
            within("depth", depth, DEPTH)?;
            let introspection = ["__schema", "__type"].contains(&field).then_some((1, 0));
            return Ok(Self { depth, introspection });
        };
        let is_list = ["fields", "inputFields", "interfaces", "possibleTypes"].contains(&field);
        let (depth, lists) = (depth + 1, lists + usize::from(is_list));
        within("introspection depth", depth, INTROSPECTION_DEPTH)?;
        within("introspection lists", lists, INTROSPECTION_LISTS)?;
        Ok(Self { introspection: Some((depth, lists)), ..self })
    }
}
