//! Coerces variables to their types. An omitted variable is distinct from a null one.

use std::collections::HashMap;

use apollo_compiler::{
    Node, Schema,
    ast::{Type, Value as Literal, VariableDefinition},
    schema::{ExtendedType, InputObjectType},
    validation::Valid,
};
use async_graphql::{Name, Number, Value, Variables, indexmap::IndexMap};

use super::limits::Rejection;

/// The values of an operation's variables, by name, without the omitted variables that have no default.
pub(super) type Values = HashMap<String, Value>;

/// [Coerces](https://spec.graphql.org/draft/#CoerceVariableValues()) the variables of a request to the types of its operation.
///
/// # Errors
/// [`Rejection::Variable`] for the first value that is missing or not of its type, or that belongs to an unknown input field.
pub(super) fn coerce(
    schema: &Valid<Schema>,
    definitions: &[Node<VariableDefinition>],
    given: &mut Variables,
) -> Result<Values, Rejection> {
    let mut values = Values::new();
    for definition in definitions {
        let name = definition.name.as_str();
        if let Some(value) = given.remove(name) {
            values.insert(name.to_owned(), coerce_value(schema, &definition.ty, value, &|| name.to_owned())?);
        } else if let Some(default) = &definition.default_value {
            let default = coerce_value(schema, &definition.ty, constant(default), &|| name.to_owned())?;
            values.insert(name.to_owned(), default);
        } else if definition.ty.is_non_null() {
            return Err(invalid(&|| name.to_owned(), format!("of type {} is required", definition.ty)));
        }
    }
    Ok(values)
}

/// `problem` completes the sentence that begins with `Variable "$path"`.
fn invalid(path: &dyn Fn() -> String, problem: String) -> Rejection {
    Rejection::Variable { path: path(), problem }
}

/// Coerces a value to a type. `path` is a function, so that the path is built only for an error.
fn coerce_value(
    schema: &Valid<Schema>,
    expected: &Type,
    value: Value,
    path: &dyn Fn() -> String,
) -> Result<Value, Rejection> {
    if value == Value::Null {
        return if expected.is_non_null() {
            Err(invalid(path, format!("of type {expected} must not be null")))
        } else {
            Ok(value)
        };
    }
    let name = match expected {
        Type::List(item) | Type::NonNullList(item) => {
            let Value::List(items) = value else {
                // A single value is coerced to a list of one item.
                return Ok(Value::List(vec![coerce_value(schema, item, value, path)?]));
            };
            let items = items
                .into_iter()
                .enumerate()
                .map(|(index, value)| coerce_value(schema, item, value, &|| format!("{}[{index}]", path())));
            return items.collect::<Result<_, _>>().map(Value::List);
        }
        Type::Named(name) | Type::NonNullNamed(name) => name,
    };
    let coerced = match (schema.types.get(name), &value) {
        (Some(ExtendedType::InputObject(definition)), Value::Object(_)) => {
            let Value::Object(fields) = value else { return Ok(value) };
            return coerce_object(schema, definition, fields, path);
        }
        // JSON has no enum values, so this one comes from the default of a variable, which validation has checked.
        (Some(ExtendedType::Enum(_)), Value::Enum(_)) => return Ok(value),
        (Some(ExtendedType::Enum(definition)), Value::String(given)) => {
            let known = definition.values.contains_key(given.as_str());
            return if known {
                Ok(Value::Enum(Name::new(given)))
            } else {
                let known: Vec<&str> = definition.values.keys().map(apollo_compiler::Name::as_str).collect();
                Err(invalid(path, format!("must be one of {}", known.join(", "))))
            };
        }
        (Some(ExtendedType::Scalar(_)), value) => coerce_scalar(name, value),
        _ => None,
    };
    coerced.ok_or_else(|| invalid(path, format!("must be of type {expected}; got {}", describe_kind(&value))))
}

/// Coerces a [built-in scalar](https://spec.graphql.org/draft/#sec-Scalars.Built-in-Scalars); `None` if the value does not match.
/// Values of custom scalars are returned unchanged, because async-graphql parses them when it reads the argument.
fn coerce_scalar(name: &str, value: &Value) -> Option<Value> {
    match (name, value) {
        ("Int", Value::Number(number)) => {
            let whole = number.as_f64().filter(|number| number.fract() == 0.0)?;
            let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&whole);
            #[expect(clippy::cast_possible_truncation, reason = "the range is checked above")]
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

/// Coerces the fields of an input object.
fn coerce_object(
    schema: &Valid<Schema>,
    definition: &InputObjectType,
    mut given: IndexMap<Name, Value>,
    path: &dyn Fn() -> String,
) -> Result<Value, Rejection> {
    let mut fields = IndexMap::with_capacity(given.len());
    for (name, field) in &definition.fields {
        let path = || format!("{}.{name}", path());
        let key = Name::new(name);
        if let Some(value) = given.swap_remove(&key) {
            fields.insert(key, coerce_value(schema, &field.ty, value, &path)?);
        } else if let Some(default) = &field.default_value {
            fields.insert(key, constant(default));
        } else if field.ty.is_non_null() {
            return Err(invalid(&path, format!("of type {} is required", field.ty)));
        }
    }
    match given.into_keys().next() {
        Some(unknown) => {
            let path = || format!("{}.{unknown}", path());
            Err(invalid(&path, format!("is not a field of {}", definition.name)))
        }
        None => Ok(Value::Object(fields)),
    }
}

/// The value of a constant literal, such as a default. It contains no variables, because validation rejects them.
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

/// Converts a numeric literal to a JSON number, or to null if JSON cannot represent it, such as 1e999. Validation has rejected
/// such a literal for `Int` and `Float`.
pub(super) fn number(text: &str) -> Value {
    text.parse::<Number>().map_or(Value::Null, Value::Number)
}

/// The approximate size of a value in JSON, in bytes.
pub(super) fn json_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::List(items) => items.iter().map(|item| json_size(item) + 1).sum(),
        Value::Object(fields) => fields.iter().map(|(name, value)| name.len() + json_size(value)).sum(),
        _ => 4,
    }
}

/// The kind of a value, for an error message.
fn describe_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::String(_) | Value::Enum(_) | Value::Binary(_) => "a string",
        Value::Boolean(_) => "a boolean",
        Value::List(_) => "a list",
        Value::Object(_) => "an object",
    }
}
