//! The limits of an operation, and the errors of requests that exceed them.

use std::collections::HashMap;

use apollo_compiler::{
    ExecutableDocument,
    executable::{Selection, SelectionSet},
};
use async_graphql::{Pos, Response};

use super::{error::rejection, error_code::ErrorCode};
use crate::error::{LimitExceeded, RequestLimit};

/// Levels of nested fields.
const DEPTH: usize = 12;
/// Levels of nested fields below `__schema` and `__type`, whose types refer to each other.
const INTROSPECTION_DEPTH: usize = 16;
/// Levels of nested lists below `__schema` and `__type`. Each level multiplies the size of the response.
const INTROSPECTION_LISTS: usize = 3;
/// Fields and fragments that normalization visits. The fields of a fragment count at each of its spreads.
pub(super) const FIELDS: usize = 2000;
/// Aliases in one selection set.
pub(super) const ALIASES: usize = 30;
/// Fields. The fields of a list's items count once for each item of the page.
pub(super) const COMPLEXITY: usize = 2000;
/// Bytes of the arguments of a normalized operation. Each use of a variable is a copy.
pub(super) const ARGUMENT_BYTES: usize = 1024 * 1024;

/// Why an operation is rejected before execution.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Rejection {
    /// The document or its variables exceed a limit.
    LimitExceeded(LimitExceeded),
    /// The text is not GraphQL.
    Syntax(Vec<Fault>),
    /// The document is not valid against the schema.
    Invalid(Vec<Fault>),
    /// The value at `path` in the variables does not match its type.
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
            Self::Syntax(faults) => faulty(ErrorCode::GraphqlParseFailed, faults),
            Self::Invalid(faults) => faulty(ErrorCode::GraphqlValidationFailed, faults),
            Self::Variable { path, problem } => {
                let mut response =
                    rejection(ErrorCode::BadUserInput, format!("Variable \"${path}\" {problem}."));
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

/// The depth of a selection set.
#[derive(Clone, Copy, Default)]
pub(super) struct Level {
    depth: usize,
    /// Within `__schema` and `__type`: the depth and the number of lists, counted from there.
    pub(super) introspection: Option<(usize, usize)>,
}

impl Level {
    /// Whether it is the level below a root field.
    pub(super) fn is_root(self) -> bool {
        self.depth == 1
    }

    /// The level of the selection set of this field. `deepest` measures the levels below the field. It is called only for the
    /// error message, when a limit is exceeded.
    pub(super) fn below(
        self,
        field: &str,
        deepest: impl Fn(fn(&str) -> bool) -> usize,
    ) -> Result<Self, Rejection> {
        let check = |limit, level, max, counts: fn(&str) -> bool| {
            if level <= max { Ok(()) } else { check_limit(limit, level + deepest(counts), max) }
        };
        let Some((depth, lists)) = self.introspection else {
            let depth = self.depth + 1;
            check(RequestLimit::Depth, depth, DEPTH, |_| true)?;
            let introspection = ["__schema", "__type"].contains(&field).then_some((1, 0));
            return Ok(Self { depth, introspection });
        };
        let (depth, lists) = (depth + 1, lists + usize::from(is_introspection_list(field)));
        check(RequestLimit::IntrospectionDepth, depth, INTROSPECTION_DEPTH, |_| true)?;
        check(RequestLimit::IntrospectionLists, lists, INTROSPECTION_LISTS, is_introspection_list)?;
        Ok(Self { introspection: Some((depth, lists)), ..self })
    }
}

fn is_introspection_list(field: &str) -> bool {
    ["fields", "inputFields", "interfaces", "possibleTypes"].contains(&field)
}

/// Measures how deep the fields of a selection set are nested. Each fragment is measured once.
pub(super) struct DepthMeter<'a> {
    document: &'a ExecutableDocument,
    /// Whether a field of this name counts as a level.
    counts: fn(&str) -> bool,
    fragments: HashMap<&'a str, usize>,
}

impl<'a> DepthMeter<'a> {
    pub(super) fn new(document: &'a ExecutableDocument, counts: fn(&str) -> bool) -> Self {
        Self { document, counts, fragments: HashMap::new() }
    }

    pub(super) fn measure(&mut self, set: &'a SelectionSet) -> usize {
        let depths = set.selections.iter().map(|selection| match selection {
            Selection::Field(field) => {
                usize::from((self.counts)(&field.name)) + self.measure(&field.selection_set)
            }
            Selection::InlineFragment(fragment) => self.measure(&fragment.selection_set),
            Selection::FragmentSpread(spread) => {
                let name = spread.fragment_name.as_str();
                if let Some(&depth) = self.fragments.get(name) {
                    return depth;
                }
                let fragment = self.document.fragments.get(name);
                let depth = fragment.map_or(0, |fragment| self.measure(&fragment.selection_set));
                self.fragments.insert(name, depth);
                depth
            }
        });
        depths.max().unwrap_or_default()
    }
}
