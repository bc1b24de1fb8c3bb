//! The limits of a document and its operation, and the errors of requests that are rejected before execution.

use std::collections::HashMap;

use apollo_compiler::{
    ExecutableDocument,
    executable::{Selection, SelectionSet},
};
use async_graphql::{Pos, Response};

use super::{error::rejection, error_code::ErrorCode};
use crate::error::{LimitExceeded, RequestLimit};

/// The maximum number of levels of nested fields.
const MAX_DEPTH: usize = 12;
/// The maximum number of levels of nested fields below `__schema` and `__type`, whose types refer to each other.
const MAX_INTROSPECTION_DEPTH: usize = 16;
/// The maximum number of levels of nested lists below `__schema` and `__type`. Each level multiplies the size of the response.
const MAX_INTROSPECTION_LISTS: usize = 3;
/// The maximum number of fields and fragments that normalization visits. The fields of a fragment count once in each selection
/// set that spreads it, after merging.
pub(super) const MAX_FIELDS: usize = 2000;
/// The maximum number of aliases in one selection set.
pub(super) const MAX_ALIASES: usize = 30;
/// The maximum complexity of an operation, which is its number of fields. The fields of a list's items count once for each item
/// that the list can have.
pub(super) const MAX_COMPLEXITY: usize = 2000;
/// The maximum size of the arguments of a normalized operation, in bytes. A variable counts at each of its uses, because each
/// use is a copy.
pub(super) const MAX_ARGUMENT_BYTES: usize = 1024 * 1024;

/// Why an operation is rejected before execution.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The document or its variables exceed a limit.
    LimitExceeded(LimitExceeded),
    /// The text is not GraphQL.
    Syntax(Vec<Fault>),
    /// The document is not valid against the schema.
    Invalid(Vec<Fault>),
    /// The value at `path` in the variables is missing or does not match its type. `problem` completes the sentence that begins
    /// with `Variable "$path"`.
    Variable { path: String, problem: String },
}

/// A problem and its position in the document.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) position: Option<Pos>,
}

impl Rejection {
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault { message: message.into(), position: None }])
    }

    pub(super) fn into_response(self) -> Response {
        match self {
            Self::LimitExceeded(exceeded) => limit_exceeded(exceeded),
            Self::Syntax(faults) => response_with_faults(ErrorCode::GraphqlParseFailed, faults),
            Self::Invalid(faults) => response_with_faults(ErrorCode::GraphqlValidationFailed, faults),
            Self::Variable { path, problem } => {
                let mut response =
                    rejection(ErrorCode::BadUserInput, format!("Variable \"${path}\" {problem}."));
                response.errors[0].extensions.get_or_insert_default().set("field", path);
                response
            }
        }
    }
}

fn response_with_faults(code: ErrorCode, faults: Vec<Fault>) -> Response {
    let errors = faults.into_iter().flat_map(|fault| {
        let mut errors = rejection(code, fault.message).errors;
        errors[0].locations = fault.position.into_iter().collect();
        errors
    });
    Response::from_errors(errors.collect())
}

/// The response to a request that exceeds a limit.
#[must_use]
pub fn limit_exceeded(exceeded: LimitExceeded) -> Response {
    let mut response = rejection(ErrorCode::QueryTooComplex, exceeded.message());
    let extensions = response.errors[0].extensions.get_or_insert_default();
    extensions.set("limit", exceeded.limit.name());
    extensions.set("count", exceeded.count);
    extensions.set("max", exceeded.max);
    response
}

pub(super) fn check_limit(limit: RequestLimit, count: usize, max: usize) -> Result<(), Rejection> {
    if count > max { Err(Rejection::LimitExceeded(LimitExceeded { limit, count, max })) } else { Ok(()) }
}

/// How deeply a selection set is nested.
#[derive(Clone, Copy, Default)]
pub(super) struct Level {
    depth: usize,
    /// Inside `__schema` or `__type`: the number of levels since that field, and how many of them are lists. `None` elsewhere.
    pub(super) introspection: Option<(usize, usize)>,
}

impl Level {
    /// Whether the selection set is that of a root field, or inside of `__schema` or `__type`: there, `depth` stays 1.
    pub(super) fn is_below_root_field(self) -> bool {
        self.depth == 1
    }

    /// The level of the selection set of `field`, which is a field of this selection set.
    ///
    /// If a limit is exceeded, `measure_below` measures the levels below the field, so that the error contains the full
    /// depth, and not the first level above the limit. Its argument decides which fields count as a level.
    pub(super) fn below(
        self,
        field: &str,
        measure_below: impl Fn(fn(&str) -> bool) -> usize,
    ) -> Result<Self, Rejection> {
        let check = |limit, level, max, counts: fn(&str) -> bool| {
            if level <= max { Ok(()) } else { check_limit(limit, level + measure_below(counts), max) }
        };
        let Some((depth, lists)) = self.introspection else {
            let depth = self.depth + 1;
            check(RequestLimit::Depth, depth, MAX_DEPTH, |_| true)?;
            let introspection = ["__schema", "__type"].contains(&field).then_some((1, 0));
            return Ok(Self { depth, introspection });
        };
        let (depth, lists) = (depth + 1, lists + usize::from(is_introspection_list(field)));
        check(RequestLimit::IntrospectionDepth, depth, MAX_INTROSPECTION_DEPTH, |_| true)?;
        check(RequestLimit::IntrospectionLists, lists, MAX_INTROSPECTION_LISTS, is_introspection_list)?;
        Ok(Self { introspection: Some((depth, lists)), ..self })
    }
}

/// Whether lists of this field count. Types refer to each other in a cycle only through `ofType`, which is no list, and these
/// lists, so other lists such as `args` do not multiply without limit.
fn is_introspection_list(field: &str) -> bool {
    ["fields", "inputFields", "interfaces", "possibleTypes"].contains(&field)
}

/// Measures how deeply the fields of a selection set are nested. Measures each fragment only once, so that the time is linear in
/// the size of the document.
pub(super) struct DepthMeter<'a> {
    document: &'a ExecutableDocument,
    /// Whether a field of this name counts as a level.
    counts: fn(&str) -> bool,
    /// The depths of the fragments measured so far, by name.
    fragment_depths: HashMap<&'a str, usize>,
}

impl<'a> DepthMeter<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, counts: fn(&str) -> bool) -> Self {
        Self { document, counts, fragment_depths: HashMap::new() }
    }

    pub(super) fn measure(&mut self, set: &'a SelectionSet) -> usize {
        let depths = set.selections.iter().map(|selection| match selection {
            Selection::Field(field) => {
                usize::from((self.counts)(&field.name)) + self.measure(&field.selection_set)
            }
            Selection::InlineFragment(fragment) => self.measure(&fragment.selection_set),
            Selection::FragmentSpread(spread) => {
                let name = spread.fragment_name.as_str();
                if let Some(&depth) = self.fragment_depths.get(name) {
                    return depth;
                }
                let fragment = self.document.fragments.get(name);
                let depth = fragment.map_or(0, |fragment| self.measure(&fragment.selection_set));
                self.fragment_depths.insert(name, depth);
                depth
            }
        });
        depths.max().unwrap_or_default()
    }
}
