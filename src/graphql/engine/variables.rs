//! Variables, coerced to their types. A variable that is omitted stays apart from one that is null.

use std::collections::HashMap;

use apollo_compiler::{
    Node, Schema,
    ast::{Type, Value as Literal, VariableDefinition},
    schema::{ExtendedType, InputObjectType},
    validation::Valid,
};
use async_graphql::{Name, Number, Value, Variables, indexmap::IndexMap};

use super::limits::Refusal;

/// What an operation's variables stand for; those that are omitted and have no default are not among them.
pub(super) type Values = HashMap<String, Value>;

/// [Coerces](https://spec.graphql.org/draft/#CoerceVariableValues()) what a request gives for an operation's variables.
///
/// # Errors
/// The first value that does not fit, by its path.
pub(super) fn coerce(
    schema: &Valid<Schema>,
    definitions: &[Node<VariableDefinition>],
    given: &mut Variables,
) -> Result<Values, Refusal> {
    let mut values = Values::new();
    for definition in definitions {
        let name = definition.name.as_str();
        if let Some(value) = given.remove(name) {
            values.insert(name.to_owned(), value_of(schema, &definition.ty, value, &|| name.to_owned())?);
        } else if let Some(default) = &definition.default_value {
            let default = value_of(schema, &definition.ty, constant(default), &|| name.to_owned())?;
            values.insert(name.to_owned(), default);
        } else if definition.ty.is_non_null() {
            return Err(refused(&|| name.to_owned(), format!("of type {} is required", definition.ty)));
        }
    }
    Ok(values)
}

fn refused(path: &dyn Fn() -> String, expected: String) -> Refusal {
    Refusal::Variable { path: path(), expected }
}

fn value_of(
    schema: &Valid<Schema>,
    of: &Type,
    value: Value,
    path: &dyn Fn() -> String,
) -> Result<Value, Refusal> {
    if value == Value::Null {
        return if of.is_non_null() {
            Err(refused(path, format!("must not be null: it is of type {of}")))
        } else {
            Ok(value)
        };
    }
    let name = match of {
        Type::List(item) | Type::NonNullList(item) => {
            let Value::List(items) = value else {
                // One value stands for a list of it.
                return Ok(Value::List(vec![value_of(schema, item, value, path)?]));
            };
            let items = items
                .into_iter()
                .enumerate()
                .map(|(at, value)| value_of(schema, item, value, &|| format!("{}[{at}]", path())));
            return items.collect::<Result<_, _>>().map(Value::List);
        }
        Type::Named(name) | Type::NonNullNamed(name) => name,
    };
    let fits = match (schema.types.get(name), &value) {
        (Some(ExtendedType::InputObject(definition)), Value::Object(_)) => {
            let Value::Object(fields) = value else { return Ok(value) };
            return object(schema, definition, fields, path);
        }
        // The default of a variable.
        (Some(ExtendedType::Enum(_)), Value::Enum(_)) => return Ok(value),
        (Some(ExtendedType::Enum(definition)), Value::String(given)) => {
            let known = definition.values.contains_key(given.as_str());
            return if known {
                Ok(Value::Enum(Name::new(given)))
            } else {
                let known: Vec<&str> = definition.values.keys().map(apollo_compiler::Name::as_str).collect();
                Err(refused(path, format!("must be one of {}", known.join(", "))))
            };
        }
        (Some(ExtendedType::Scalar(_)), value) => scalar(name, value),
        _ => None,
    };
    fits.ok_or_else(|| refused(path, format!("must be of type {of}; got {}", kind(&value))))
}

/// The value of a [built-in scalar](https://spec.graphql.org/draft/#sec-Scalars.Built-in-Scalars). Others read their values
/// themselves.
fn scalar(name: &str, value: &Value) -> Option<Value> {
    match (name, value) {
        ("Int", Value::Number(number)) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0)?;
            let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&whole);
            #[expect(clippy::cast_possible_truncation, reason = "it fits")]
            fits.then(|| Value::from(whole as i32))
        }
        ("ID", Value::Number(number)) if number.is_i64() || number.is_u64() => {
            Some(Value::String(number.to_string()))
        }
        ("Float", Value::Number(_))
        | ("String" | "ID", Value::String(_))
        | ("Boolean", Value::Boolean(_)) => Some(value.clone()),
        ("Int" | "Float" | "String" | "Boolean" | "ID", _) => None,
        _ => Some(value.clone()),
    }
}

fn object(
    schema: &Valid<Schema>,
    definition: &InputObjectType,
    mut given: IndexMap<Name, Value>,
    path: &dyn Fn() -> String,
) -> Result<Value, Refusal> {
    let mut fields = IndexMap::with_capacity(given.len());
    for (name, field) in &definition.fields {
        let path = || format!("{}.{name}", path());
        let key = Name::new(name);
        if let Some(value) = given.swap_remove(&key) {
            fields.insert(key, value_of(schema, &field.ty, value, &path)?);
        } else if let Some(default) = &field.default_value {
            fields.insert(key, constant(default));
        } else if field.ty.is_non_null() {
            return Err(refused(&path, format!("of type {} is required", field.ty)));
        }
    }
    match given.into_keys().next() {
        Some(unknown) => {
            let path = || format!("{}.{unknown}", path());
            Err(refused(&path, format!("is not a field of {}", definition.name)))
        }
        None => Ok(Value::Object(fields)),
    }
}

/// A literal without variables.
fn constant(literal: &Literal) -> Value {
    match literal {
        Literal::Null | Literal::Variable(_) => Value::Null,
        Literal::Enum(name) => Value::Enum(Name::new(name)),
        Literal::String(text) => Value::String(text.clone()),
        Literal::Float(text) => number(text.as_str()),
        Literal::Int(text) => number(text.as_str()),
        Literal::Boolean(value) => Value::Boolean(*value),
        Literal::List(items) => Value::List(items.iter().map(|item| constant(item)).collect()),
        Literal::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (Name::new(name), constant(value))).collect())
        }
    }
}

/// A number as JSON has it.
pub(super) fn number(text: &str) -> Value {
    // What no JSON number can be, such as 1e999, no field takes.
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// About as many bytes as a value has in JSON.
pub(super) fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.iter().map(|item| size_of(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + size_of(value)).sum(),
        _ => 4,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::String(_) | Value::Enum(_) | Value::Binary(_) => "a string",
        Value::Boolean(_) => "a boolean",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    }
}
