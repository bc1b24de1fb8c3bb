//! Brings the result of an operation into its final form: puts the fields in document order, and implements
//! [null propagation](https://spec.graphql.org/draft/#sec-Handling-Execution-Errors), which async-graphql 7 does not implement.

use std::{collections::HashMap, sync::Arc};

use apollo_compiler::ast::Type;
use async_graphql::{Name, Response, Value, indexmap::IndexMap};

use super::{error::finish_errors, positions::locate};

/// The alias under which normalized operations select `__typename` for this module. Clients cannot use it, because a
/// space is not a valid name.
pub(super) const TYPENAME: &str = " ";

/// Brings a response of async-graphql into its final form. `text` is the text of the document.
pub(super) fn finish(mut response: Response, shape: &Shape, text: &str, request_id: &Arc<str>) -> Response {
    response.data = shape.propagate_nulls(std::mem::take(&mut response.data));
    for error in &mut response.errors {
        error.locations = error.locations.iter().filter_map(|&at| locate(at, text)).collect();
    }
    finish_errors(&mut response, request_id);
    response
}

/// The shape of a selection set's result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Fields of an object, in the order of the document.
    Object(Vec<FieldShape>),
    /// The fields of each object type of an interface or a union, by the name of the type.
    Abstract(HashMap<String, Vec<FieldShape>>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct FieldShape {
    /// The response key: the alias, or else the name of the field.
    pub(super) key: Name,
    pub(super) nullability: Nullability,
    /// `None` for a scalar or an enum.
    pub(super) selection: Option<Shape>,
}

/// Whether a value and its items can be null.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nullability {
    is_non_null: bool,
    /// The nullability of the items, if the value is a list.
    item: Option<Box<Nullability>>,
}

impl From<&Type> for Nullability {
    fn from(declared: &Type) -> Self {
        let item = match declared {
            Type::List(item) | Type::NonNullList(item) => Some(Box::new(Self::from(&**item))),
            Type::Named(_) | Type::NonNullNamed(_) => None,
        };
        Self { is_non_null: declared.is_non_null(), item }
    }
}

impl Shape {
    /// Orders the fields of the data and propagates nulls. Returns null if a null propagates to the root.
    pub(super) fn propagate_nulls(&self, data: Value) -> Value {
        let Value::Object(fields) = data else { return Value::Null };
        self.order_fields(fields).unwrap_or_default()
    }

    /// Orders the fields of an object and propagates nulls in them. Returns `None` if a null propagates to the object itself.
    fn order_fields(&self, mut given: IndexMap<Name, Value>) -> Option<Value> {
        let fields = match self {
            Self::Object(fields) => fields,
            Self::Abstract(types) => match given.get(TYPENAME) {
                Some(Value::String(name)) => types.get(name)?,
                _ => return None,
            },
        };
        let mut ordered = IndexMap::with_capacity(fields.len());
        for FieldShape { key, nullability, selection } in fields {
            let value = given.swap_remove(key).unwrap_or_default();
            ordered.insert(key.clone(), nullability.propagate_nulls(value, selection.as_ref())?);
        }
        Some(Value::Object(ordered))
    }
}

impl Nullability {
    /// Propagates nulls in a value. Returns `None` if the value is null, or becomes null, and its type is not nullable.
    fn propagate_nulls(&self, value: Value, selection: Option<&Shape>) -> Option<Value> {
        let value = match (value, selection, &self.item) {
            (Value::Null, ..) => None,
            (Value::List(items), _, Some(item)) => {
                let items = items.into_iter().map(|value| item.propagate_nulls(value, selection));
                items.collect::<Option<_>>().map(Value::List)
            }
            (Value::Object(fields), Some(shape), _) => shape.order_fields(fields),
            (value, ..) => Some(value),
        };
        if value.is_none() && !self.is_non_null { Some(Value::Null) } else { value }
    }
}
