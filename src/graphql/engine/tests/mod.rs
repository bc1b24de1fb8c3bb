//! Tests validation, coercion and normalization with the examples and counter-examples of the specification.

mod normalization;
mod validation;
mod variables;

use async_graphql::{Request, Variables};
use serde_json::Value;

use super::{
    document::{self, DocumentSchema},
    limits::Rejection,
    normalize::{Operation, normalize},
    tokens,
    variables::coerce,
};

/// Mostly the schema of the specification's chapter on [validation](https://spec.graphql.org/draft/#sec-Validation).
const SDL: &str = "
    type Query {
        dog: Dog
        human(id: ID): Human
        pet: Pet
        catOrDog: CatOrDog
        arguments: Arguments!
        findDog(searchBy: FindDogInput): Dog
        pets(first: Int, last: Int): PetConnection!
    }
    type Mutation { addPet(pet: PetInput!): Dog, addName(name: String!): Int }
    type Subscription { newMessage(from: String): Message, secondRootField: Boolean }
    type Message { body: String, sender: String }
    enum DogCommand { SIT DOWN HEEL }
    type Dog implements Pet {
        name: String!
        nickname: String
        barkVolume: Int
        doesKnowCommand(dogCommand: DogCommand!): Boolean!
        isHouseTrained(atOtherHomes: Boolean): Boolean!
        owner: Human
        friends(last: Int = 20): [Dog!]!
    }
    interface Sentient { name: String! }
    interface Pet { name: String! }
    type Alien implements Sentient { name: String!, homePlanet: String }
    type Human implements Sentient { name: String!, pets: [Pet!]! }
    enum CatCommand { JUMP }
    type Cat implements Pet {
        name: String!
        nickname: String
        doesKnowCommand(catCommand: CatCommand!): Boolean!
        meowVolume: Int
    }
    union CatOrDog = Cat | Dog
    union HumanOrAlien = Human | Alien
    type PetConnection { nodes: [Pet!]!, edges: [PetEdge!]! }
    type PetEdge { cursor: String!, node: Pet! }
    type Arguments {
        multipleRequirements(x: Int!, y: Int!): Int!
        booleanArgField(booleanArg: Boolean): Boolean
        floatArgField(floatArg: Float): Float
        intArgField(intArg: Int): Int
        idArgField(idArg: ID): ID
        stringArgField(stringArg: String): String
        nonNullBooleanArgField(nonNullBooleanArg: Boolean!): Boolean!
        booleanListArgField(booleanListArg: [Boolean]!): [Boolean]
        optionalNonNullBooleanArgField(optionalBooleanArg: Boolean! = false): Boolean!
        findDogs(searchBy: [FindDogInput!]): Int
        nested(x: [[Int!]]): Int
        any(x: Any): Int
    }
    scalar Any
    input FindDogInput { name: String, owner: String, limit: Int! = 5 }
    input PetInput { cat: String, dog: String, name: String! }
";

fn schema() -> DocumentSchema {
    DocumentSchema::new(SDL, true).unwrap()
}

/// Prepares a request as the executor does.
fn prepare(text: &str, name: Option<&str>, variables: Value) -> Result<Operation, Rejection> {
    let schema = schema();
    tokens::count(text)?;
    let document = schema.parse(text)?;
    let operation = document::operation(&document, name)?;
    let mut given = Request::new("").variables(Variables::from_json(variables)).variables;
    let values = coerce(&schema.schema, &operation.variables, &mut given)?;
    normalize(&schema, &document, operation, &values)
}

/// The reason for which a document is rejected; `None` if it is accepted.
fn rejection(text: &str) -> Option<Rejection> {
    prepare(text, None, Value::Null).err()
}
