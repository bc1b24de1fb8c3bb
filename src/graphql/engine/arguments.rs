//! Replaces the variables in the arguments of an operation, and counts the size of the arguments. Copies the arguments of root
//! fields between operations.

use apollo_compiler::ast::Value as Literal;
use async_graphql::{
    Name as NormalizedName, Positioned,
    indexmap::IndexMap,
    parser::types::{DocumentOperations, ExecutableDocument, Selection},
};
use async_graphql_value::Value;

use super::{
    limits::{MAX_ARGUMENT_BYTES, Rejection, check_limit},
    normalize::{Normalizer, Operation},
    variables::{json_size, number},
};
use crate::error::RequestLimit;

impl Normalizer<'_> {
    /// Replaces the variables in a value. Returns `None` if the value is an omitted variable.
    pub(super) fn replace_variables(&mut self, literal: &Literal) -> Result<Option<Value>, Rejection> {
        Ok(Some(match literal {
            Literal::Variable(name) => {
                let Some(value) = self.variables.get(name.as_str()) else { return Ok(None) };
                self.count_argument(json_size(value))?;
                value.clone().into_value()
            }
            Literal::Null => Value::Null,
            Literal::Enum(name) => Value::Enum(NormalizedName::new(name)),
            Literal::String(text) => {
                self.count_argument(text.len())?;
                Value::String(text.clone())
            }
            Literal::Float(text) => number(text.as_str()).into_value(),
            Literal::Int(text) => number(text.as_str()).into_value(),
            Literal::Boolean(value) => Value::Boolean(*value),
            Literal::List(items) => {
                // By the specification, an omitted variable in a list is null.
                let values =
                    items.iter().map(|item| Ok(self.replace_variables(item)?.unwrap_or(Value::Null)));
                Value::List(values.collect::<Result<_, _>>()?)
            }
            Literal::Object(fields) => {
                let mut object = IndexMap::with_capacity(fields.len());
                for (name, value) in fields {
                    if let Some(value) = self.replace_variables(value)? {
                        object.insert(NormalizedName::new(name), value);
                    }
                }
                Value::Object(object)
            }
        }))
    }

    /// Counts the bytes of a variable or a string.
    fn count_argument(&mut self, bytes: usize) -> Result<(), Rejection> {
        self.argument_bytes = self.argument_bytes.saturating_add(bytes);
        check_limit(RequestLimit::ArgumentBytes, self.argument_bytes, MAX_ARGUMENT_BYTES)
    }
}

/// The arguments of each root field of an operation.
pub(super) type RootArguments = Vec<Vec<(Positioned<NormalizedName>, Positioned<Value>)>>;

impl Operation {
    pub(super) fn root_arguments(&self) -> RootArguments {
        let DocumentOperations::Single(definition) = &self.document.operations else { return Vec::new() };
        let fields = definition.node.selection_set.node.items.iter().filter_map(|item| match &item.node {
            Selection::Field(field) => Some(&field.node),
            _ => None,
        });
        fields.map(|field| field.arguments.clone()).collect()
    }

    /// The document, with the root arguments of another operation that differs from this one in them only.
    pub(super) fn document_with(&self, root_arguments: RootArguments) -> ExecutableDocument {
        let mut document = self.document.clone();
        let DocumentOperations::Single(definition) = &mut document.operations else { return document };
        let fields =
            definition.node.selection_set.node.items.iter_mut().filter_map(|item| match &mut item.node {
                Selection::Field(field) => Some(&mut field.node),
                _ => None,
            });
        for (field, arguments) in fields.zip(root_arguments) {
            field.arguments = arguments;
        }
        document
    }
}

/// Whether a value is a variable or contains one.
pub(super) fn contains_variable(literal: &Literal) -> bool {
    match literal {
        Literal::Variable(_) => true,
        Literal::List(items) => items.iter().any(|item| contains_variable(item)),
        Literal::Object(fields) => fields.iter().any(|(_, value)| contains_variable(value)),
        _ => false,
    }
}
