use apollo_compiler::ExecutableDocument;
use serde_json::json;

use super::*;

/// The path and the problem of a variable of this type with this value; none if the value matches.
fn problem(of: &str, given: Value) -> Option<(String, String)> {
    let schema = schema();
    // The unused variable makes the document invalid, which coercion ignores.
    let text = format!("query($x: {of}) {{ dog {{ name }} }}");
    let document = ExecutableDocument::parse(&schema.schema, text, "document").unwrap();
    let operation = document::operation(&document, None).unwrap();
    match coerce(&schema.schema, &operation.variables, &mut Variables::from_json(given)) {
        Ok(_) => None,
        Err(Rejection::Variable { path, problem }) => Some((path, problem)),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn values_that_match_their_type_are_accepted() {
    for (of, given) in [
        ("Int", json!(1)),
        ("Int", json!(1.0)),
        ("Int!", json!(-2_147_483_648_i64)),
        ("Float", json!(1)),
        ("String", json!("x")),
        ("ID", json!(9_007_199_254_740_993_i64)),
        ("ID", json!("x")),
        ("Boolean!", json!(false)),
        ("DogCommand", json!("SIT")),
        ("[Int!]", json!([1, 2])),
        ("[Int]", json!(1)),
        ("[[Int]]", json!([1, null])),
        ("Any", json!({"a": [1, {"b": null}]})),
        ("FindDogInput", json!({"name": null})),
        ("PetInput", json!({"name": "x"})),
    ] {
        assert_eq!(problem(of, json!({ "x": given })), None, "{of}: {given}");
    }
    for (of, given) in
        [("Int", json!({})), ("Int", json!({"x": null, "unknown": 1})), ("Int! = 1", json!({}))]
    {
        assert_eq!(problem(of, given.clone()), None, "{of}: {given}");
    }
}

#[test]
fn an_invalid_value_is_reported_by_path_without_its_content() {
    for (of, given, path) in [
        ("Int", json!("secret"), "x"),
        ("Int", json!(1.5), "x"),
        ("Int", json!(2_147_483_648_i64), "x"),
        ("Int!", json!(null), "x"),
        ("Float", json!("secret"), "x"),
        ("String", json!(1), "x"),
        ("ID", json!(1.5), "x"),
        ("Boolean", json!("secret"), "x"),
        ("DogCommand", json!("secret"), "x"),
        ("DogCommand", json!(1), "x"),
        ("[Int!]", json!([1, null]), "x[1]"),
        ("[[Int]]", json!([[1], [2, "secret"]]), "x[1][1]"),
        ("FindDogInput", json!("secret"), "x"),
        ("FindDogInput", json!({"limit": null}), "x.limit"),
        ("[PetInput!]", json!([{"name": "x"}, {"name": ["secret"]}]), "x[1].name"),
        ("PetInput", json!({"cat": "secret"}), "x.name"),
        ("PetInput", json!({"name": "x", "secretive": "secret"}), "x.secretive"),
    ] {
        let (at, problem) = problem(of, json!({ "x": given })).unwrap_or_else(|| panic!("{of}: {given}"));
        assert_eq!(at, path, "{of}: {given}");
        assert!(!problem.contains("secret"), "{problem}");
    }
    assert_eq!(problem("Int!", json!({})).unwrap().1, "of type Int! is required");
}

#[test]
fn omitted_variables_and_nested_fields_take_their_defaults() {
    let schema = schema();
    let text = "query($x: FindDogInput = {name: \"d\"}, $y: FindDogInput) { a: findDog(searchBy: $x) { name } b: findDog(searchBy: $y) { name } }";
    let document = schema.parse(text).unwrap();
    let operation = document::operation(&document, None).unwrap();
    let mut given = Variables::from_json(json!({"y": {"owner": "o"}}));
    let values = coerce(&schema.schema, &operation.variables, &mut given).unwrap();
    let value = |name: &str| values[name].clone().into_json().unwrap();
    assert_eq!(value("y"), json!({"owner": "o", "limit": 5}));
    assert_eq!(value("x"), json!({"name": "d", "limit": 5}));
}
