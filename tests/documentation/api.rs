//! The schema follows the rules of docs/api.md, and docs/api.md names only what exists in the schema.

use std::collections::BTreeSet;

use apollo_compiler::{
    Schema,
    ast::Type,
    schema::{Component, ExtendedType, FieldDefinition},
};
use pollux::graphql::ErrorCode;

fn schema() -> Schema {
    Schema::parse_and_validate(include_str!("../../schema.graphql"), "schema.graphql").unwrap().into_inner()
}

fn is_builtin(name: &str) -> bool {
    name.starts_with("__")
}

/// Returns the fields of all objects and interfaces, each with the name of the object or interface that has it.
fn fields(schema: &Schema) -> Vec<(String, &Component<FieldDefinition>)> {
    let mut all_fields = Vec::new();
    for (name, definition) in schema.types.iter().filter(|(name, _)| !is_builtin(name)) {
        let fields = match definition {
            ExtendedType::Object(object) => &object.fields,
            ExtendedType::Interface(interface) => &interface.fields,
            _ => continue,
        };
        all_fields.extend(fields.values().map(|field| (name.to_string(), field)));
    }
    all_fields
}

/// Returns the fields of the root type `Query`, `Mutation` or `Subscription`.
fn operations<'a>(schema: &'a Schema, root: &str) -> Vec<&'a Component<FieldDefinition>> {
    let root = root.to_owned();
    fields(schema).into_iter().filter(|(name, _)| *name == root).map(|(_, field)| field).collect()
}

/// Returns the words in capitals of a description: error codes and enum values. Shorter ones, such as URL, are left out.
fn capitals(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let words = text.split(|c: char| !is_part(c)).map(str::to_owned);
    words.filter(|word| word.len() > 3).collect()
}

#[test]
fn a_mutation_has_at_most_one_input_and_returns_a_payload() {
    for field in operations(&schema(), "Mutation") {
        let arguments: Vec<&str> = field.arguments.iter().map(|argument| argument.name.as_str()).collect();
        assert!(arguments.is_empty() || arguments == ["input"], "{}: {arguments:?}", field.name);
        let input = field.arguments.first().map(|argument| argument.ty.inner_named_type().as_str());
        assert!(input.is_none_or(|name| name.ends_with("Input")), "{}: {input:?}", field.name);
        assert!(field.ty.is_non_null() && field.ty.inner_named_type().ends_with("Payload"), "{}", field.name);
    }
}

#[test]
fn each_operation_lists_the_codes_of_its_errors() {
    let schema = schema();
    let codes: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    let values: BTreeSet<String> = schema
        .types
        .values()
        .filter_map(|definition| definition.as_enum())
        .flat_map(|definition| definition.values.keys().map(ToString::to_string))
        .collect();
    // Callers need no token for these operations, and the operations return no errors of their own.
    let without_errors = ["me", "models", "node", "billing", "history"];
    for root in ["Query", "Mutation", "Subscription"] {
        for field in operations(&schema, root) {
            let description = field.description.as_deref().unwrap_or_default();
            let named = capitals(description);
            let unknown: Vec<_> =
                named.iter().filter(|word| !codes.contains(*word) && !values.contains(*word)).collect();
            assert!(unknown.is_empty(), "{}: {unknown:?} are neither codes nor values", field.name);
            if without_errors.contains(&field.name.as_str()) {
                continue;
            }
            let (_, errors) = description.rsplit_once("Errors:").unwrap_or_else(|| {
                panic!("the description of {} has no list of errors", field.name);
            });
            assert!(capitals(errors).intersection(&codes).next().is_some(), "{}", field.name);
        }
    }
}

#[test]
fn names_of_times_end_in_at_and_names_of_booleans_begin_with_is_or_has() {
    for (object, field) in fields(&schema()) {
        let (name, kind) = (field.name.as_str(), field.ty.inner_named_type().as_str());
        let is_time = name.ends_with("At") || name == "currentPeriodEnd";
        assert_eq!(kind == "DateTime", is_time, "{object}.{name}");
        if kind == "Boolean" {
            let exceptions = ["cancelAtPeriodEnd", "current", "retryable"];
            let has_prefix = name.starts_with("is") || name.starts_with("has");
            assert!(has_prefix || exceptions.contains(&name), "{object}.{name}");
        }
    }
}

#[test]
fn lists_contain_no_nulls_except_the_query_nodes() {
    for (object, field) in fields(&schema()) {
        let element = match &field.ty {
            Type::List(element) | Type::NonNullList(element) => element,
            Type::Named(_) | Type::NonNullNamed(_) => continue,
        };
        assert!(field.ty.is_non_null(), "{object}.{}", field.name);
        assert_eq!(
            element.is_non_null(),
            field.name != "nodes" || object != "Query",
            "{object}.{}",
            field.name
        );
    }
}

#[test]
fn connections_are_paged_in_both_directions() {
    for (object, field) in fields(&schema()) {
        if field.ty.inner_named_type().ends_with("Connection") {
            let arguments: Vec<&str> =
                field.arguments.iter().map(|argument| argument.name.as_str()).collect();
            let paging = ["first", "after", "last", "before"];
            let is_forward_only = object == "Query" && field.name == "search";
            let required = if is_forward_only { &paging[..2] } else { &paging[..] };
            assert!(
                required.iter().all(|name| arguments.contains(name)),
                "{object}.{}: {arguments:?}",
                field.name
            );
        }
    }
}

#[test]
fn a_deprecated_field_names_its_successor() {
    let schema = schema();
    let names: BTreeSet<String> = fields(&schema).iter().map(|(_, field)| field.name.to_string()).collect();
    for (object, field) in fields(&schema) {
        let Some(deprecated) = field.directives.get("deprecated") else { continue };
        let reason = deprecated.specified_argument_by_name("reason").and_then(|reason| reason.as_str());
        let words = reason.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric());
        assert!(words.into_iter().any(|word| names.contains(word)), "{object}.{}: {reason:?}", field.name);
    }
}

#[test]
fn docs_api_names_only_what_exists() {
    let schema = schema();
    let mut known: BTreeSet<String> = ErrorCode::ALL.iter().map(|code| code.as_str().to_owned()).collect();
    known.extend(schema.types.keys().map(ToString::to_string));
    known.extend(schema.directive_definitions.keys().map(ToString::to_string));
    for definition in schema.types.values() {
        if let ExtendedType::InputObject(input) = definition {
            known.extend(input.fields.keys().map(ToString::to_string));
        }
    }
    for (_, field) in fields(&schema) {
        known.insert(field.name.to_string());
        known.extend(field.arguments.iter().map(|argument| argument.name.to_string()));
    }
    // Words in code format that are not names of the schema: styles, prefixes and suffixes of names, and parts of responses.
    known.extend(
        [
            "camelCase",
            "PascalCase",
            "UPPER_CASE",
            "Payload",
            "At",
            "is",
            "has",
            "errors",
            "extensions",
            "code",
            "cost",
        ]
        .map(str::to_owned),
    );
    known.extend(
        ["complexity", "field", "retryAfter", "resetsAt", "__typename", "clients"].map(str::to_owned),
    );
    let text = include_str!("../../docs/api.md");
    for (number, line) in text.lines().enumerate() {
        for span in line.split('`').skip(1).step_by(2) {
            // Paths, headers, commands and JSON are not names of the schema.
            if span.contains(['/', '-', ' ', '"', '!']) && !span.starts_with("user {") {
                continue;
            }
            for word in
                span.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
            {
                assert!(known.contains(word), "docs/api.md:{}: {word} does not exist", number + 1);
            }
        }
    }
}
