//! Generates requests: mutated valid operations, GraphQL tokens in random order, and random bytes.

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, FieldDefinition, InputValueDefinition, Type, TypeKind, TypeSystemDefinition},
};
use proptest::{
    collection::vec,
    prelude::*,
    strategy::{BoxedStrategy, Union},
};
use serde_json::{Value, json};
use std::{collections::HashMap, sync::Arc};

/// How deeply selections and arguments are nested.
const DEPTH: u32 = 5;
/// A regular expression of tokens, from which documents without a valid structure are generated.
const TOKEN: &str = "(query|mutation|subscription|fragment|on|me|id|chatrooms|nodes|__schema|__typename|node|\\{|\\}|\\(|\\)|\\[|\\]|\\.\\.\\.|\\$v|:|=|!|@skip\\(if: true\\)|@include|\"\\\\u0000\"|\"\"\"x\"\"\"|-1|1e999|null|#x\n|&|\\|) ";

/// The schema's types by name, and ids of existing objects.
struct Schema {
    types: HashMap<String, TypeKind>,
    ids: Vec<String>,
}

impl Schema {
    fn read(ids: &[String]) -> Arc<Self> {
        let document = parse_schema(include_str!("../../schema.graphql")).unwrap();
        let types = document.definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(definition) => {
                Some((definition.node.name.node.to_string(), definition.node.kind))
            }
            _ => None,
        });
        Arc::new(Self { types: types.collect(), ids: ids.to_vec() })
    }

    /// Returns the fields of an object or interface. Other types have none.
    fn fields(&self, name: &str) -> Vec<FieldDefinition> {
        match self.types.get(name) {
            Some(TypeKind::Object(object)) => object.fields.iter().map(|field| field.node.clone()).collect(),
            Some(TypeKind::Interface(interface)) => {
                interface.fields.iter().map(|field| field.node.clone()).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// Returns the name of a type without its lists.
fn named_type(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(inner) => named_type(inner),
    }
}

/// Generates requests, most of which are valid. `ids` are the ids of existing objects.
pub fn requests(ids: &[String]) -> BoxedStrategy<Value> {
    let schema = Schema::read(ids);
    let valid = (prop_oneof![8 => Just("query"), 3 => Just("mutation")], variables(&schema)).prop_flat_map({
        let schema = schema.clone();
        move |(kind, variables)| {
            let root = if kind == "query" { "Query" } else { "Mutation" };
            (selection(&schema, root, DEPTH), Just((kind, variables)))
        }
    });
    let valid = (valid, prop_oneof![30 => Just(""), 1 => Just("($v: String, $n: Int = 3)"), 1 => Just("($id: ID!)")]).prop_map(
        |((set, (kind, variables)), declared)| json!({"query": format!("{kind} Q{declared} {set}"), "variables": variables}),
    );
    let random_tokens = vec(TOKEN, 0..60);
    let random_tokens = (random_tokens, variables(&schema))
        .prop_map(|(tokens, variables)| json!({"query": tokens.concat(), "variables": variables}));
    let random_text = ("\\PC{0,80}", any_json(), any_json())
        .prop_map(|(query, variables, extensions)| json!({"query": query, "variables": variables, "extensions": extensions}));
    let mutated = (valid.clone(), any::<prop::sample::Index>(), "\\PC").prop_map(
        |(mut request, index, replacement)| {
            let mut query: Vec<char> = request["query"].as_str().unwrap().chars().collect();
            let position = index.index(query.len());
            query.splice(position..=position, replacement.chars());
            request["query"] = query.into_iter().collect::<String>().into();
            request
        },
    );
    let batch = vec(valid.clone(), 0..12).prop_map(Value::Array);
    prop_oneof![10 => valid, 4 => mutated, 3 => random_tokens, 2 => random_text, 1 => batch, 1 => any_json()]
        .boxed()
}

/// Generates a selection of a type's fields, which is empty for a leaf type. At depth 0, it is `__typename` for every type,
/// which is invalid for a leaf type.
fn selection(schema: &Arc<Schema>, name: &str, depth: u32) -> BoxedStrategy<String> {
    // These mutations could end the session with which the requests are sent.
    let excluded = ["logout", "deleteAccount", "endSession", "changePassword", "resetPassword"];
    let fields: Vec<_> = schema
        .fields(name)
        .into_iter()
        .filter(|field| !excluded.contains(&field.name.node.as_str()))
        .collect();
    if depth == 0 {
        return Just(" { __typename }".to_owned()).boxed();
    }
    if let Some(TypeKind::Union(union)) = schema.types.get(name) {
        let members: Vec<_> = union
            .members
            .iter()
            .map(|member| {
                let on = member.node.to_string();
                selection(schema, &on, depth - 1).prop_map(move |set| format!("... on {on}{set} ")).boxed()
            })
            .collect();
        return vec(Union::new(members), 1..3).prop_map(|parts| format!(" {{ {} }}", parts.concat())).boxed();
    }
    if fields.is_empty() {
        return Just(String::new()).boxed();
    }
    let field = Union::new(fields.into_iter().map(|field| field_selection(schema, &field, depth)));
    let field =
        prop_oneof![200 => field, 10 => Just("__typename ".to_owned()), 1 => Just("nothing ".to_owned())];
    vec(field, 1..3).prop_map(|parts| format!(" {{ {} }}", parts.concat())).boxed()
}

fn field_selection(schema: &Arc<Schema>, field: &FieldDefinition, depth: u32) -> BoxedStrategy<String> {
    let name = field.name.node.to_string();
    let arguments: Vec<_> =
        field.arguments.iter().map(|argument| argument_value(schema, &argument.node, DEPTH)).collect();
    let alias = prop_oneof![60 => Just(""), 1 => Just("a: "), 1 => Just("b: ")];
    let directive = prop_oneof![90 => Just(""), 5 => Just(" @skip(if: false)"), 1 => Just(" @include(if: $v)"), 1 => Just(" @no")];
    (alias, arguments, directive, selection(schema, named_type(&field.ty.node), depth - 1))
        .prop_map(move |(alias, arguments, directive, set)| {
            let arguments = arguments.concat();
            let arguments = if arguments.is_empty() { arguments } else { format!("({arguments})") };
            format!("{alias}{name}{arguments}{directive}{set} ")
        })
        .boxed()
}

/// Generates an argument with a literal of its type. Sometimes the literal has another type, or the argument is omitted.
fn argument_value(
    schema: &Arc<Schema>,
    argument: &InputValueDefinition,
    depth: u32,
) -> BoxedStrategy<String> {
    let name = argument.name.node.to_string();
    let valid = literal(schema, &argument.ty.node, depth);
    // Required arguments are also omitted sometimes.
    let omitted_weight = u32::from(argument.ty.node.nullable) * 60 + 1;
    let with_name = move |value: String| format!("{name}: {value} ");
    prop_oneof![60 => valid.prop_map(with_name.clone()), 1 => any_literal().prop_map(with_name), omitted_weight => Just(String::new())]
        .boxed()
}

/// Generates a literal of a type.
fn literal(schema: &Arc<Schema>, ty: &Type, depth: u32) -> BoxedStrategy<String> {
    if let BaseType::List(inner) = &ty.base {
        let items = vec(literal(schema, inner, depth), 0..3);
        return items.prop_map(|items| format!("[{}]", items.join(" "))).boxed();
    }
    let name = named_type(ty);
    match (name, schema.types.get(name)) {
        ("Int", _) => {
            prop_oneof![(-2..150_i64).prop_map(|n| n.to_string()), Just("2147483648".to_owned())].boxed()
        }
        ("Boolean", _) => prop_oneof![Just("true".to_owned()), Just("false".to_owned())].boxed(),
        ("ID", _) => {
            let known = Union::new(schema.ids.iter().cloned().map(Just));
            prop_oneof![4 => known.boxed(), 1 => "[a-z]{1,4}_[0-9a-z]{26}".boxed()]
                .prop_map(|id| format!("{id:?}"))
                .boxed()
        }
        ("PhoneNumber", _) => "\\+1415555[0-9]{4}".prop_map(|number| format!("{number:?}")).boxed(),
        (_, Some(TypeKind::Enum(values))) => {
            Union::new(values.values.iter().map(|value| Just(value.node.value.node.to_string()))).boxed()
        }
        (_, Some(TypeKind::InputObject(object))) if depth > 0 => {
            let fields: Vec<_> =
                object.fields.iter().map(|field| argument_value(schema, &field.node, depth - 1)).collect();
            fields.prop_map(|fields| format!("{{ {} }}", fields.concat())).boxed()
        }
        _ => text().boxed(),
    }
}

/// Generates a literal string, which may also be of a custom scalar type.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[a-z ]{0,12}",
        1 => "\\PC{0,20}",
        1 => Just("\u{0}\u{1f}\u{feff}".to_owned()),
        1 => Just("x".repeat(40_000)),
        1 => Just("1-5".to_owned()),
    ]
    .prop_map(|text| json!(text).to_string())
}

fn any_literal() -> BoxedStrategy<String> {
    prop_oneof![
        Just("null".to_owned()),
        Just("$v".to_owned()),
        Just("$undeclared".to_owned()),
        Just("[[[]]]".to_owned()),
        Just("{a: {b: 1}}".to_owned()),
        Just("SOME".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        text(),
    ]
    .boxed()
}

fn variables(schema: &Arc<Schema>) -> BoxedStrategy<Value> {
    let id = schema.ids[0].clone();
    prop_oneof![
        4 => Just(json!({"v": "x", "n": 5, "id": id})),
        1 => any_json(),
        1 => any_json().prop_map(|value| json!({"v": value, "id": 7})),
    ]
    .boxed()
}

fn any_json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,10}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::hash_map("(v|id|query|persistedQuery|[a-z]{1,3})", inner, 0..5)
                .prop_map(|map| map.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
    .boxed()
}
