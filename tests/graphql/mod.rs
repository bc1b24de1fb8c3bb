//! Executing operations: limits, conformance, loaders.

mod conformance;
mod loaders;
mod operation_parameters;
mod persisted_documents;
mod request_limits;
mod text_validation;
