use super::*;

fn fails(text: &str) {
    assert!(matches!(rejection(text), Some(Rejection::Invalid(_))), "{text}: {:?}", rejection(text));
}

fn passes(text: &str) {
    assert_eq!(rejection(text), None, "{text}");
}

#[test]
fn only_documents_that_follow_the_grammar_are_accepted() {
    for text in [
        "",
        "{",
        "{ dog { name }",
        "{ dog { } }",
        "query { dog(:) { name } }",
        "{ ...on }",
        "fragment on on Dog { name } { dog { ...on } }",
        "query ($a: Int = $b) { dog { name } }",
        "{ arguments { intArgField(intArg: 01) } }",
        "{ arguments { intArgField(intArg: 1a) } }",
        "{ arguments { stringArgField(stringArg: \"\\q\") } }",
        "{ arguments { stringArgField(stringArg: \"\\uD83D\") } }",
        "{ arguments { stringArgField(stringArg: \"\\u{D83D}\") } }",
        "{ arguments { stringArgField(stringArg: \"\\u{110000}\") } }",
        "{ arguments { stringArgField(stringArg: \"a\nb\") } }",
    ] {
        assert!(
            matches!(rejection(text), Some(Rejection::Syntax(_) | Rejection::Invalid(_))),
            "{text}: {:?}",
            rejection(text)
        );
    }
    passes("\u{feff}{ dog { name } }");
    passes("{,dog,,{ name # a comment\n}}");
}

#[test]
fn rules_for_operations_are_enforced() {
    passes("query a { dog { name } }");
    fails("query a { dog { name } } mutation a { addName(name: \"x\") }");
    fails("{ dog { name } } query b { dog { name } }");
    passes("subscription { newMessage { body sender } }");
    passes("subscription { ...F } fragment F on Subscription { newMessage { body } }");
    fails("subscription { newMessage { body } secondRootField }");
    fails("subscription { ...F } fragment F on Subscription { newMessage { body } secondRootField }");
    fails("subscription { newMessage @skip(if: true) { body } }");
    fails("subscription { ... @include(if: true) { newMessage { body } } }");
    fails("subscription { __typename }");
    fails("{ dog { name } } fragment F on Dog { name } type T { a: Int }");
}

#[test]
fn rules_for_fields_are_enforced() {
    fails("{ dog { meowVolume } }");
    fails("{ dog { barkVolume: kawVolume } }");
    fails("{ pet { nickname } }");
    passes("{ catOrDog { __typename ... on Pet { name } ... on Dog { barkVolume } } }");
    fails("{ catOrDog { name } }");
    fails("{ dog { barkVolume { sinceWhen } } }");
    fails("{ human }");
    fails("{ pet }");
    fails("{ dog { __schema { types { name } } } }");
}

#[test]
fn fields_with_the_same_response_key_must_be_mergeable() {
    passes("{ dog { name name otherName: name otherName: name } }");
    fails("{ dog { name: nickname name } }");
    passes("{ dog { doesKnowCommand(dogCommand: SIT) doesKnowCommand(dogCommand: SIT) } }");
    fails("{ dog { doesKnowCommand(dogCommand: SIT) doesKnowCommand(dogCommand: HEEL) } }");
    fails(
        "query($c: DogCommand!) { dog { doesKnowCommand(dogCommand: SIT) doesKnowCommand(dogCommand: $c) } }",
    );
    fails("{ dog { isHouseTrained(atOtherHomes: true) isHouseTrained } }");
    passes("{ pet { ... on Dog { volume: barkVolume } ... on Cat { volume: meowVolume } } }");
    passes(
        "{ pet { ... on Dog { doesKnowCommand(dogCommand: SIT) } ... on Cat { doesKnowCommand(catCommand: JUMP) } } }",
    );
    fails("{ pet { ... on Dog { x: nickname } ... on Cat { x: meowVolume } } }");
    fails("{ dog { x: owner { name } } dog { x: friends { name } } }");
    passes("{ dog { owner { name } } dog { owner { pets { name } } } }");
    fails("{ dog { owner { a: name } owner { a: pets { name } } } }");
}

#[test]
fn rules_for_arguments_are_enforced() {
    passes("{ dog { isHouseTrained(atOtherHomes: true) } }");
    fails("{ dog { doesKnowCommand(command: CLEAN_UP_HOUSE) } }");
    fails("{ dog { isHouseTrained(atOtherHomes: true) @include(unless: false) } }");
    passes("{ arguments { multipleRequirements(y: 1, x: 2) } }");
    fails("{ arguments { multipleRequirements(x: 1, x: 2, y: 1) } }");
    passes("{ arguments { booleanArgField optionalNonNullBooleanArgField } }");
    fails("{ arguments { nonNullBooleanArgField } }");
    fails("{ arguments { nonNullBooleanArgField(nonNullBooleanArg: null) } }");
    fails("{ arguments { optionalNonNullBooleanArgField(optionalBooleanArg: null) } }");
}

#[test]
fn rules_for_fragments_are_enforced() {
    fails("{ dog { ...F ...F } } fragment F on Dog { name } fragment F on Dog { name }");
    fails("{ dog { ...F } } fragment F on NotInSchema { name }");
    fails("{ dog { ... on NotInSchema { name } } }");
    fails("{ dog { ...F } } fragment F on DogCommand { x }");
    fails("{ dog { ... on Boolean { x } } }");
    fails("{ dog { name } } fragment F on Dog { name }");
    fails("{ dog { ...undefined } }");
    fails("{ dog { ...A } } fragment A on Dog { name ...B } fragment B on Dog { barkVolume ...A }");
    fails("{ dog { ...A } } fragment A on Dog { owner { pets { ...B } } } fragment B on Dog { ...A }");
    passes("{ dog { ... on Dog { barkVolume } } }");
    fails("{ dog { ... on Cat { meowVolume } } }");
    passes("{ dog { ... on Pet { name } ... on CatOrDog { __typename } } }");
    fails("{ human { ... on HumanOrAlien { ... on Pet { name } } } }");
    passes("{ human { ... on Sentient { name } ... on HumanOrAlien { __typename } } }");
    passes("{ pet { ... on CatOrDog { ... on Cat { meowVolume } } } }");
}

#[test]
fn values_must_match_the_types_of_their_arguments() {
    let document = |field: &str, argument: &str, value: &str| {
        format!("{{ arguments {{ {field}({argument}: {value}) }} }}")
    };
    for (field, argument, valid_values, invalid_values) in [
        (
            "intArgField",
            "intArg",
            vec!["1", "-2147483648", "null"],
            vec!["\"1\"", "1.0", "2147483648", "true", "SIT", "{}"],
        ),
        ("floatArgField", "floatArg", vec!["1", "1.5e3"], vec!["\"1\"", "true"]),
        ("booleanArgField", "booleanArg", vec!["true"], vec!["1", "\"true\"", "TRUE"]),
        ("idArgField", "idArg", vec!["1", "\"x\""], vec!["1.5", "true", "SIT"]),
        ("stringArgField", "stringArg", vec!["\"x\"", "\"\"\" x \"\"\""], vec!["1", "x"]),
        (
            "booleanListArgField",
            "booleanListArg",
            vec!["[true, null]", "true", "[]"],
            vec!["[1]", "null", "\"x\""],
        ),
        (
            "findDogs",
            "searchBy",
            vec!["{name: \"x\"}", "[{name: null}, {limit: 3}]", "[]", "null"],
            vec![
                "{nam: \"x\"}",
                "{name: 1}",
                "{limit: null}",
                "[null]",
                "{name: \"x\", name: \"y\"}",
                "\"x\"",
            ],
        ),
        ("nested", "x", vec!["[[1], null]", "1", "[1]"], vec!["[[null]]", "[[[1]]]"]),
        ("any", "x", vec!["1", "\"x\"", "{a: [1, {b: SIT}]}"], vec!["{a: {b: 1, b: 2}}"]),
    ] {
        for value in valid_values {
            passes(&document(field, argument, value));
        }
        for value in invalid_values {
            fails(&document(field, argument, value));
        }
    }
    fails("{ dog { doesKnowCommand(dogCommand: JUMP) } }");
    fails("{ dog { doesKnowCommand(dogCommand: \"SIT\") } }");
    fails("mutation { addPet(pet: {cat: \"x\"}) { name } }");
    fails("query($x: FindDogInput = {name: \"a\", name: \"b\"}) { findDog(searchBy: $x) { name } }");
}

#[test]
fn rules_for_directives_are_enforced() {
    passes("{ dog @skip(if: false) @include(if: true) { name } }");
    fails("{ dog @unknown { name } }");
    fails("query @skip(if: true) { dog { name } }");
    fails("query q @include(if: true) { dog { name } }");
    fails("{ dog @skip(if: true) @skip(if: false) { name } }");
    fails("{ dog @skip { name } }");
    fails("{ dog @include(if: null) { name } }");
    fails("{ dog @include(if: \"x\") { name } }");
}

#[test]
fn rules_for_variables_are_enforced() {
    let nullable = "arguments { booleanArgField(booleanArg: $x) }";
    let non_null = "arguments { nonNullBooleanArgField(nonNullBooleanArg: $x) }";
    fails(&format!("query($x: Boolean, $x: Boolean) {{ {nullable} }}"));
    fails("query($x: Dog) { arguments { any(x: $x) } }");
    fails("query($x: [Dog!]!) { arguments { any(x: $x) } }");
    fails("query($x: Nope) { arguments { any(x: $x) } }");
    fails(&format!("{{ {nullable} }}"));
    fails("query($x: Boolean) { dog { name } }");
    passes(&format!("query($x: Boolean) {{ ...F }} fragment F on Query {{ {nullable} }}"));
    fails(&format!("{{ ...F }} fragment F on Query {{ {nullable} }}"));
    fails(&format!("query($x: Int) {{ {nullable} }}"));
    fails(&format!("query($x: Boolean) {{ {non_null} }}"));
    passes(&format!("query($x: Boolean = true) {{ {non_null} }}"));
    fails(&format!("query($x: Boolean = null) {{ {non_null} }}"));
    passes("query($x: Boolean) { arguments { optionalNonNullBooleanArgField(optionalBooleanArg: $x) } }");
    fails("query($x: [Boolean]) { arguments { booleanListArgField(booleanListArg: $x) } }");
    fails("query($x: Boolean) { dog { name @include(if: $x) } }");
    passes("query($x: Boolean = true) { dog { name @include(if: $x) } }");
    passes("query($x: String) { findDog(searchBy: {name: $x}) { name } }");
    fails("query($x: Int) { findDog(searchBy: {name: $x}) { name } }");
    fails("query($x: Int) { findDog(searchBy: {limit: $x, name: 1}) { name } }");
    fails("query($x: Int = \"1\") { arguments { intArgField(intArg: $x) } }");
}

#[test]
fn errors_have_positions_and_at_most_ten_are_reported() {
    let faults = |text: &str| match rejection(text) {
        Some(Rejection::Syntax(faults) | Rejection::Invalid(faults)) => faults,
        other => panic!("{text}: {other:?}"),
    };
    let first_position = |text: &str| {
        let position = faults(text)[0].position.unwrap();
        (position.line, position.column)
    };
    assert_eq!(faults("{ dog { name nope } }")[0].message, "Cannot query field \"nope\" on type \"Dog\".");
    assert_eq!(first_position("{ dog { name nope } }"), (1, 14));
    assert_eq!(first_position("{\n  dog { # é\n    name nope } }"), (3, 10));
    assert_eq!(first_position("{\n  dog { "), (2, 9));
    assert_eq!(faults(&format!("{{ dog {{ {} }} }}", "nope ".repeat(500))).len(), 10);
}
