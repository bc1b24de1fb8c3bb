use async_graphql::parser::types::{DocumentOperations, ExecutableDocument, Selection, SelectionSet};
use serde_json::json;

use super::{super::shape::Shape, *};

/// A normalized operation as text.
fn normalized(text: &str, variables: Value) -> String {
    let operation = prepare(text, None, variables).unwrap_or_else(|rejected| panic!("{text}: {rejected:?}"));
    print_document(&operation.document)
}

fn print_document(document: &ExecutableDocument) -> String {
    let DocumentOperations::Single(definition) = &document.operations else { panic!() };
    print(&definition.node.selection_set.node)
}

fn print(set: &SelectionSet) -> String {
    let items = set.items.iter().filter_map(|item| match &item.node {
        // This is the `__typename` that only the response shape reads.
        Selection::Field(field) if field.node.response_key().node == " " => None,
        Selection::Field(field) => {
            let field = &field.node;
            let mut text = field.alias.as_ref().map_or(String::new(), |alias| format!("{}:", alias.node));
            text += &field.name.node;
            let arguments: Vec<_> =
                field.arguments.iter().map(|(name, value)| format!("{}:{}", name.node, value.node)).collect();
            if !arguments.is_empty() {
                text += &format!("({})", arguments.join(","));
            }
            if !field.selection_set.node.items.is_empty() {
                text += &print(&field.selection_set.node);
            }
            Some(text)
        }
        Selection::InlineFragment(fragment) => {
            let on = &fragment.node.type_condition.as_ref().unwrap().node.on.node;
            Some(format!("...{on}{}", print(&fragment.node.selection_set.node)))
        }
        Selection::FragmentSpread(_) => panic!("a fragment was not inlined"),
    });
    format!("{{{}}}", items.collect::<Vec<_>>().join(" "))
}

#[test]
fn fragments_are_inlined_and_fields_merged_in_the_order_of_the_document() {
    for (text, expected) in [
        (
            "{ dog { name ...F nickname } } fragment F on Dog { barkVolume name }",
            "{dog{name barkVolume nickname}}",
        ),
        ("{ dog { a: name } dog { b: name ... on Dog { a: name } } }", "{dog{a:name b:name}}"),
        (
            "{ dog { owner { name } ...F } } fragment F on Pet { ... on Dog { owner { pets { name } } } }",
            "{dog{owner{name pets{...Cat{name} ...Dog{name}}}}}",
        ),
        (
            "{ pet { name ... on Dog { barkVolume } ... on Pet { name } } }",
            "{pet{...Cat{name} ...Dog{name barkVolume}}}",
        ),
        ("{ catOrDog { ... on Cat { meowVolume } } }", "{catOrDog{...Cat{meowVolume}}}"),
        (
            "{ catOrDog { ... on Pet { ... on Dog { name } } __typename } }",
            "{catOrDog{...Cat{__typename} ...Dog{name __typename}}}",
        ),
        (
            "mutation { a: addName(name: \"x\") ...M } fragment M on Mutation { a: addName(name: \"x\") }",
            "{a:addName(name:\"x\")}",
        ),
        ("subscription { ...S } fragment S on Subscription { newMessage { body } }", "{newMessage{body}}"),
    ] {
        assert_eq!(normalized(text, json!({})), expected, "{text}");
    }
}

#[test]
fn skip_and_include_are_applied() {
    let text = "query($s: Boolean! = true, $i: Boolean = false) {
        dog @skip(if: false) { name @skip(if: $s) nickname @include(if: $i) ...F @include(if: $i) barkVolume }
        human @include(if: $i) { name } } fragment F on Dog { owner { name } }";
    assert_eq!(normalized(text, json!({})), "{dog{barkVolume}}");
    assert_eq!(normalized(text, json!({"s": false})), "{dog{name barkVolume}}");
    let all = "{dog{name nickname owner{name} barkVolume} human{name}}";
    assert_eq!(normalized(text, json!({"s": false, "i": true})), all);
    let both_directives =
        "{ dog { name @skip(if: false) @include(if: false) nickname @skip(if: true) @include(if: true) } }";
    let operation = prepare(both_directives, None, json!({})).unwrap();
    let Shape::Object(root) = &*operation.shape else { panic!() };
    assert_eq!(root[0].selection, Some(Shape::Object(Vec::new())), "an object without fields");
    let null = prepare(text, None, json!({ "i": null }));
    assert!(matches!(null, Err(Rejection::Variable { path, .. }) if path == "i"));
}

#[test]
fn an_omitted_variable_omits_its_argument_and_null_is_kept() {
    let text = "mutation($n: String, $c: String) { addPet(pet: {cat: $c, name: \"x\", dog: $n}) { name } }";
    let pet = |fields: &str| format!("{{addPet(pet:{{{fields}}}){{name}}}}");
    assert_eq!(normalized(text, json!({})), pet("name: \"x\""));
    assert_eq!(normalized(text, json!({"c": null})), pet("cat: null, name: \"x\""));
    assert_eq!(normalized(text, json!({"c": "c", "n": "n"})), pet("cat: \"c\", name: \"x\", dog: \"n\""));
    let text = "query($x: Boolean, $y: Boolean) { arguments { booleanArgField(booleanArg: $x)
        optionalNonNullBooleanArgField(optionalBooleanArg: $y) booleanListArgField(booleanListArg: [$x]) } }";
    assert_eq!(
        normalized(text, json!({})),
        "{arguments{booleanArgField optionalNonNullBooleanArgField booleanListArgField(booleanListArg:[null])}}"
    );
}

#[test]
fn string_escapes_and_block_strings_are_decoded() {
    for (literal, expected) in [
        (r#""\uD83D\uDE00""#, "😀"),
        (r#""\u{1F600}""#, "😀"),
        (r#""\u00e9\n\t\/\\\"""#, "é\n\t/\\\""),
        (r#""""x \""" y""""#, "x \"\"\" y"),
        ("\"\"\"\n    a\n      b\n\n    c\n  \"\"\"", "a\n  b\n\nc"),
    ] {
        let text = format!("mutation {{ addName(name: {literal}) }}");
        let expected = format!("{{addName(name:{})}}", serde_json::to_string(expected).unwrap());
        assert_eq!(normalized(&text, json!({})), expected, "{literal}");
    }
}

#[test]
fn an_operation_is_selected_by_name() {
    let text = "query a { dog { name } } query b($x: Int!) { arguments { intArgField(intArg: $x) } }";
    assert!(prepare(text, Some("a"), json!({})).is_ok(), "variables of the other operation are ignored");
    assert!(matches!(prepare(text, Some("b"), json!({})), Err(Rejection::Variable { .. })));
    assert!(matches!(prepare(text, Some("c"), json!({})), Err(Rejection::Invalid(_))));
    assert!(matches!(prepare(text, None, json!({})), Err(Rejection::Invalid(_))));
    assert!(matches!(prepare("fragment F on Dog { name }", None, json!({})), Err(Rejection::Invalid(_))));
}

/// The message about the limit that a document exceeds; empty if the document is accepted.
fn limit_message(text: &str) -> String {
    match prepare(text, None, json!({ "x": "x".repeat(100_000) })) {
        Ok(_) => String::new(),
        Err(Rejection::LimitExceeded(exceeded)) => exceeded.message(),
        Err(other) => panic!("{text}: {other:?}"),
    }
}

#[test]
fn a_document_at_a_limit_is_accepted_and_one_above_it_is_rejected() {
    let nested_friends = |depth: usize| {
        format!("{{ dog {{ {} name {} }} }}", "friends(last: 1) { ".repeat(depth), "}".repeat(depth))
    };
    assert_eq!(limit_message(&nested_friends(10)), "");
    assert_eq!(limit_message(&nested_friends(12)), "Query depth 14 exceeds the maximum of 12.");
    let aliases = |count| (0..count).map(|n| format!("a{n}: name ")).collect::<Vec<_>>().concat();
    assert_eq!(limit_message(&format!("{{ dog {{ {} }} }}", aliases(30))), "");
    assert_eq!(
        limit_message(&format!("{{ dog {{ {} }} }}", aliases(31))),
        "Alias count 31 exceeds the maximum of 30 in one selection set."
    );
    // The fields of a named and an inline fragment, which are merged into one selection set.
    let in_fragments = format!(
        "{{ dog {{ ...F ... {{ {} }} }} }} fragment F on Dog {{ b: name {} }}",
        aliases(16),
        aliases(30)
    );
    assert_eq!(
        limit_message(&in_fragments),
        "Alias count 31 exceeds the maximum of 30 in one selection set."
    );
    // A page of 100 dogs with 19 fields each, and the list itself.
    let page = |fields: &str| format!("{{ dog {{ friends(last: 100) {{ {fields} }} }} }}");
    assert_eq!(limit_message(&page(&aliases(19))), "");
    assert_eq!(limit_message(&page(&aliases(20))), "Query complexity 2002 exceeds the maximum of 2000.");
    assert_eq!(
        limit_message(&page("friends(last: 19) { name }")),
        "Query complexity 2002 exceeds the maximum of 2000."
    );
    assert_eq!(limit_message("{ pets(first: 100) { nodes { name } edges { node { name } } } }"), "");
    assert_eq!(
        limit_message("{ pets { nodes { ... on Dog { friends { friends { friends { name } } } } } } }"),
        "Query complexity 168441 exceeds the maximum of 2000."
    );
    assert_eq!(
        limit_message("{ human { pets { ... on Dog { owner { pets { name } } } } } }"),
        "Query complexity 10202 exceeds the maximum of 2000.",
        "a list without paging counts 100 items"
    );
    // The variable `x` has 100,000 bytes.
    let uses_of_x = |count| {
        let fields: Vec<_> = (0..count).map(|n| format!("a{n}: addName(name: $x) ")).collect();
        format!("mutation($x: String!) {{ {} }}", fields.concat())
    };
    assert_eq!(limit_message(&uses_of_x(10)), "");
    assert_eq!(
        limit_message(&uses_of_x(11)),
        "Argument size of at least 1100000 exceeds the maximum of 1048576 bytes."
    );
}

#[test]
fn fields_of_a_fragment_count_in_each_selection_set() {
    // A chain of fragments, each of which spreads the next one 29 times. Only the first spread in a selection set adds fields.
    let link = |n: usize| format!("fragment F{n} on Dog {{ {} }}", format!("...F{} ", n + 1).repeat(29));
    let links = |count| (0..count).map(link).collect::<String>();
    let chain = format!("{{ dog {{ ...F0 }} }} {} fragment F29 on Dog {{ name }}", links(29));
    assert_eq!(limit_message(&chain), "", "each fragment is collected once in a selection set");
    // A chain of fragments, each of which spreads the next one in two different selection sets.
    let fork = |n: usize| {
        format!(
            "fragment F{n} on Dog {{ a: owner {{ pets {{ ...F{0} }} }} b: owner {{ pets {{ ...F{0} }} }} }}",
            n + 1
        )
    };
    let forks: String = (0..20).map(fork).collect();
    assert_eq!(
        limit_message(&format!("{{ dog {{ ...F0 }} }} {forks} fragment F20 on Dog {{ name }}")),
        "Query depth 42 exceeds the maximum of 12."
    );
    let many = (0..30).map(|n| format!("a{n}: dog {{ ...F }} ")).collect::<Vec<_>>().concat();
    assert_eq!(limit_message(&format!("{{ {many} }} fragment F on Dog {{ {} }}", "name ".repeat(60))), "");
    assert_eq!(
        limit_message(&format!("{{ {many} }} fragment F on Dog {{ {} }}", "name ".repeat(66))),
        "Query field count of at least 2001 exceeds the maximum of 2000."
    );
}

#[test]
fn introspection_has_its_own_limits_which_typical_queries_of_tools_do_not_exceed() {
    let of_type = "kind name ofType { ".repeat(9) + "kind" + &"}".repeat(9);
    let typical = format!("{{ __schema {{ types {{ fields {{ args {{ type {{ {of_type} }} }} }} }} }} }}");
    assert_eq!(limit_message(&typical), "");
    let circular =
        format!("{{ __schema {{ types {} name {} }} }}", "{ fields { type ".repeat(4) + "{", "}".repeat(9));
    assert_eq!(limit_message(&circular), "Introspection list depth 4 exceeds the maximum of 3.");
    let deep = format!("{{ __type(name: \"Dog\") {{ {} name {} }} }}", "ofType {".repeat(16), "}".repeat(16));
    assert_eq!(limit_message(&deep), "Introspection depth 18 exceeds the maximum of 16.");
}

#[test]
fn a_document_takes_the_root_arguments_of_an_operation_with_other_variables() {
    let text = "subscription($from: String) { newMessage(from: $from) { body } }";
    let of = |variables| prepare(text, None, variables).unwrap();
    let (ann, bob, anyone) = (of(json!({ "from": "Ann" })), of(json!({ "from": "Bob" })), of(json!({})));
    for (operation, expected) in [
        (&ann, r#"{newMessage(from:"Ann"){body}}"#),
        (&bob, r#"{newMessage(from:"Bob"){body}}"#),
        (&anyone, "{newMessage{body}}"),
    ] {
        assert_eq!(print_document(&ann.document_with(operation.root_arguments())), expected);
    }
}
