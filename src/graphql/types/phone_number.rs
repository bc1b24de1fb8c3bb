use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

use crate::{domain::auth::PhoneNumber, error::Error, graphql::engine::error_code::ErrorCode};

#[derive(Clone)]
pub struct PhoneNumberScalar(pub PhoneNumber);

/// A phone number in E.164 form, such as +14155550123.
#[Scalar(name = "PhoneNumber", specified_by_url = "https://www.itu.int/rec/T-REC-E.164")]
impl ScalarType for PhoneNumberScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else { return Err(InputValueError::expected_type(value)) };
        text.parse().map(Self).map_err(|error| match error {
            Error::BadInput { field, message } => InputValueError::custom(message)
                .with_extension("code", ErrorCode::BadUserInput)
                .with_extension("field", field),
            _ => InputValueError::expected_type(value),
        })
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.as_str().to_owned())
    }
}
