use apollo_compiler::ExecutableDocument;
use serde_json::json;

use super::*;

/// Coerces `variables` for an operation that declares `$x` of type `ty`. Returns the path and the problem if the variables are
/// rejected, and `None` if they are accepted.
fn problem(ty: &str, variables: Value) -> Option<(String, String)> {
    let schema = schema();
    // The document is parsed without validation, which would reject the unused variable.
    let text = format!("query($x: {ty}) {{ dog {{ name }} }}");
    let document = ExecutableDocument::parse(&schema.schema, text, "document").unwrap();
    let operation = document::operation(&document, None).unwrap();
    match coerce(&schema.schema, &operation.variables, &mut Variables::from_json(variables)) {
        Ok(_) => None,
        Err(Rejection::Variable { path, problem }) => Some((path, problem)),
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn values_that_match_their_type_are_accepted() {
    for (ty, value) in [
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
        assert_eq!(problem(ty, json!({ "x": value })), None, "{ty}: {value}");
    }
}

#[test]
fn omitted_optional_and_undeclared_variables_are_accepted() {
    for (ty, variables) in
        [("Int", json!({})), ("Int", json!({"x": null, "undeclared": 1})), ("Int! = 1", json!({}))]
    {
        assert_eq!(problem(ty, variables.clone()), None, "{ty}: {variables}");
    }
}

#[test]
fn an_omitted_required_variable_is_reported_with_its_type() {
    let expected = ("x".to_owned(), "of type Int! is required".to_owned());
    assert_eq!(problem("Int!", json!({})), Some(expected));
}

#[test]
fn an_invalid_value_is_reported_by_path_without_its_content() {
    for (ty, value, path) in [
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
        // The required field `name` is missing.
        ("PetInput", json!({"cat": "secret"}), "x.name"),
        // The unknown field is named in the path, but not in the problem.
        ("PetInput", json!({"name": "x", "secretive": "secret"}), "x.secretive"),
    ] {
        let (reported_path, problem) =
            problem(ty, json!({ "x": value })).unwrap_or_else(|| panic!("{ty}: {value}"));
        assert_eq!(reported_path, path, "{ty}: {value}");
        assert!(!problem.contains("secret"), "{problem}");
    }
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
