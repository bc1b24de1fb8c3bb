//! The shape of an operation's response: the order of its fields, that of the document, and
//! [null propagation](https://spec.graphql.org/draft/#sec-Handling-Execution-Errors), which async-graphql 7 does not do.

use std::collections::HashMap;

use apollo_compiler::ast::Type;
use async_graphql::{Name, Value, indexmap::IndexMap};

/// The key under which normalized operations select the name of a type, for this module alone. No alias can be equal to it.
pub(super) const TYPENAME: &str = " ";

/// The shape of a selection set's result.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Fields of an object, in the order of the document.
    Object(Vec<FieldShape>),
    /// The same for each object type of an interface or a union, by the type's name.
    Abstract(HashMap<String, Vec<FieldShape>>),
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct FieldShape {
    pub(super) key: Name,
    pub(super) of: Nullability,
    /// None for a scalar or an enum.
    pub(super) selection: Option<Shape>,
}

/// Whether a value and its items can be null.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Nullability {
    non_null: bool,
    /// None unless the value is a list.
    item: Option<Box<Nullability>>,
}

impl From<&Type> for Nullability {
    fn from(of: &Type) -> Self {
        let item = match of {
            Type::List(item) | Type::NonNullList(item) => Some(Box::new(Self::from(&**item))),
            Type::Named(_) | Type::NonNullNamed(_) => None,
        };
        Self { non_null: of.is_non_null(), item }
    }
}

impl Shape {
    /// Orders the fields of the data and propagates nulls. Null if they propagate to the root.
    pub(super) fn propagate_nulls(&self, data: Value) -> Value {
        let Value::Object(fields) = data else { return Value::Null };
        self.object(fields).unwrap_or_default()
    }

    fn object(&self, mut given: IndexMap<Name, Value>) -> Option<Value> {
        let fields = match self {
            Self::Object(fields) => fields,
            Self::Abstract(types) => match given.get(TYPENAME) {
                Some(Value::String(name)) => types.get(name)?,
                _ => return None,
            },
        };
        let mut completed = IndexMap::with_capacity(fields.len());
        for FieldShape { key, of, selection } in fields {
            let value = given.swap_remove(key).unwrap_or_default();
            completed.insert(key.clone(), of.complete(value, selection.as_ref())?);
        }
        Some(Value::Object(completed))
    }
}

impl Nullability {
    /// None: the value is null and its type is not nullable.
    fn complete(&self, value: Value, selection: Option<&Shape>) -> Option<Value> {
        let completed = match (value, selection, &self.item) {
            (Value::Null, ..) => None,
            (Value::List(items), _, Some(item)) => {
                let items = items.into_iter().map(|value| item.complete(value, selection));
                items.collect::<Option<_>>().map(Value::List)
            }
            (Value::Object(fields), Some(shape), _) => shape.object(fields),
            (value, ..) => Some(value),
        };
        if completed.is_none() && !self.non_null { Some(Value::Null) } else { completed }
    }
}
