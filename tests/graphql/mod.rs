//! The execution of operations: limits, conformance, loaders, persisted documents.

mod conformance;
mod loaders;
mod nodes;
mod operation_parameters;
mod persisted_documents;
mod request_limits;
mod text_validation;
