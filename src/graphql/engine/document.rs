//! Parses documents with apollo-compiler and validates them against the schema, as the
//! [specification](https://spec.graphql.org/draft/#sec-Validation) requires.

use std::collections::{HashMap, HashSet};

use apollo_compiler::{
    ExecutableDocument, Name, Node, Schema,
    ast::{Definition, Document as Ast, Selection, Value, VariableDefinition},
    executable::Operation,
    parser::{Parser, SourceMap, SourceSpan},
    schema::ExtendedType,
    validation::{DiagnosticList, Valid},
};
use async_graphql::Pos;

use super::limits::{Fault, Rejection};

/// The maximum number of errors that are reported for one document.
const MAX_REPORTED_ERRORS: usize = 10;

/// The schema against which documents are validated.
pub(super) struct DocumentSchema {
    pub(super) schema: Valid<Schema>,
    /// The object types of each interface and union.
    pub(super) possible_types: HashMap<Name, Vec<Name>>,
    /// Whether introspection is allowed. If not, error messages mention no part of the schema.
    pub(super) introspection: bool,
}

impl DocumentSchema {
    /// # Errors
    /// The SDL is not a valid schema.
    pub(super) fn new(sdl: &str, introspection: bool) -> anyhow::Result<Self> {
        let schema = Schema::parse_and_validate(sdl, "schema.graphql");
        let schema = schema.map_err(|invalid| anyhow::anyhow!("{}", invalid.errors))?;
        let implementers = schema.implementers_map();
        let possible = schema.types.iter().filter_map(|(name, definition)| match definition {
            ExtendedType::Interface(_) => {
                let objects = implementers.get(name).into_iter().flat_map(|found| &found.objects);
                let mut objects: Vec<_> = objects.cloned().collect();
                objects.sort();
                Some((name.clone(), objects))
            }
            ExtendedType::Union(union) => {
                Some((name.clone(), union.members.iter().map(|member| member.name.clone()).collect()))
            }
            _ => None,
        });
        let possible_types = possible.collect();
        Ok(Self { schema, possible_types, introspection })
    }

    /// Parses and validates a document.
    ///
    /// # Errors
    /// The text is not GraphQL, or not valid against the schema.
    pub(super) fn parse(&self, text: &str) -> Result<Valid<ExecutableDocument>, Rejection> {
        let parsed = Parser::new().parse_ast(text, "document");
        let ast = parsed.map_err(|invalid| Rejection::Syntax(faults(&invalid.errors)))?;
        if let Some((name, location)) = duplicate_input_field(&ast) {
            let message = format!("There can be only one input field named \"{name}\".");
            return Err(self.invalid(vec![Fault { message, position: position(location, &ast.sources) }]));
        }
        let validate = |ast: &Ast| {
            ast.to_executable_validate(&self.schema).map_err(|invalid| self.invalid(faults(&invalid.errors)))
        };
        if let Some(without_null_defaults) = without_null_defaults(&ast) {
            validate(&without_null_defaults)?;
        }
        validate(&ast)
    }

    /// The error of an invalid document. While introspection is off, it contains only the first position.
    fn invalid(&self, faults: Vec<Fault>) -> Rejection {
        if self.introspection {
            return Rejection::Invalid(faults);
        }
        invalid_without_details(faults.into_iter().next().and_then(|fault| fault.position))
    }
}

/// The error of an invalid document while introspection is off. It mentions no part of the schema.
pub(super) fn invalid_without_details(position: Option<Pos>) -> Rejection {
    let message = "The document does not fit the schema of this server.".to_owned();
    Rejection::Invalid(vec![Fault { message, position }])
}

/// Selects the operation to execute.
///
/// # Errors
/// No operation has this name, or the name is missing and the document does not contain exactly one operation.
pub(super) fn operation<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Node<Operation>, Rejection> {
    let operations = &document.operations;
    match name {
        Some(name) => operations
            .named
            .get(name)
            .ok_or_else(|| Rejection::invalid(format!("Unknown operation named \"{name}\"."))),
        None if operations.len() > 1 => {
            Err(Rejection::invalid("Must provide operationName: the document contains several operations."))
        }
        None => {
            operations.iter().next().ok_or_else(|| Rejection::invalid("The document contains no operation."))
        }
    }
}

/// Converts errors of apollo-compiler, at most [`MAX_REPORTED_ERRORS`] of them.
fn faults(errors: &DiagnosticList) -> Vec<Fault> {
    let reported = errors.iter().take(MAX_REPORTED_ERRORS).map(|diagnostic| {
        // This conversion yields the messages of graphql-js, which developers know.
        let error = diagnostic.unstable_to_json_compat();
        let position = error.locations.first().map(|at| Pos { line: at.line, column: at.column });
        Fault { message: error.message, position }
    });
    reported.collect()
}

/// The line and the column at which a node begins.
pub(super) fn position(location: Option<SourceSpan>, sources: &SourceMap) -> Option<Pos> {
    let found = location?.line_column(sources)?;
    Some(Pos { line: found.line, column: found.column })
}

/// A copy of the document in which variables have no null defaults; `None` if the document has no such default.
///
/// The copy must be valid, too. A nullable variable may be used as a non-null value if it has a
/// [non-null default](https://spec.graphql.org/draft/#IsVariableUsageAllowed()), but apollo-compiler also accepts a null default.
/// In the copy, the variable has no default, so apollo-compiler rejects this use.
fn without_null_defaults(ast: &Ast) -> Option<Ast> {
    let is_null = |variable: &Node<VariableDefinition>| {
        variable.default_value.as_ref().is_some_and(|default| default.is_null())
    };
    let has_null = |definition: &Definition| {
        definition.as_operation_definition().is_some_and(|operation| operation.variables.iter().any(is_null))
    };
    ast.definitions.iter().any(has_null).then(|| {
        let mut ast = ast.clone();
        for definition in &mut ast.definitions {
            let Definition::OperationDefinition(operation) = definition else { continue };
            for variable in &mut operation.make_mut().variables {
                if is_null(variable) {
                    variable.make_mut().default_value = None;
                }
            }
        }
        ast
    })
}

/// The first violation of [input object field uniqueness](https://spec.graphql.org/draft/#sec-Input-Object-Field-Uniqueness),
/// which apollo-compiler does not check.
fn duplicate_input_field(ast: &Ast) -> Option<(&Name, Option<SourceSpan>)> {
    ast.definitions.iter().find_map(|definition| match definition {
        Definition::OperationDefinition(operation) => {
            let defaults = operation.variables.iter().filter_map(|variable| variable.default_value.as_ref());
            defaults
                .into_iter()
                .find_map(duplicate_in_value)
                .or_else(|| duplicate_in_selections(&operation.selection_set))
        }
        Definition::FragmentDefinition(fragment) => duplicate_in_selections(&fragment.selection_set),
        _ => None,
    })
}

fn duplicate_in_selections(selections: &[Selection]) -> Option<(&Name, Option<SourceSpan>)> {
    selections.iter().find_map(|selection| match selection {
        Selection::Field(field) => {
            let arguments = field.arguments.iter().find_map(|argument| duplicate_in_value(&argument.value));
            arguments.or_else(|| duplicate_in_selections(&field.selection_set))
        }
        Selection::InlineFragment(fragment) => duplicate_in_selections(&fragment.selection_set),
        Selection::FragmentSpread(_) => None,
    })
}

fn duplicate_in_value(value: &Node<Value>) -> Option<(&Name, Option<SourceSpan>)> {
    match &**value {
        Value::Object(fields) => {
            let mut seen = HashSet::new();
            fields.iter().find_map(|(name, value)| {
                if seen.insert(name) { duplicate_in_value(value) } else { Some((name, value.location())) }
            })
        }
        Value::List(items) => items.iter().find_map(duplicate_in_value),
        _ => None,
    }
}
