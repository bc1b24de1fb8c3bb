//! Keeps accepted documents in memory in their parsed and validated form, so that a repeated document is not tokenized, parsed
//! and validated again. If its operation has no variables, the normalized operation is kept, too.
//!
//! ```text
//!  text, operation name ──► known? ─┬─ no ──► tokens ──► document ──► variables ──► normalize ──► kept if accepted
//!                                   └─ yes, without variables ──► the kept normalized operation
//!                                      yes, with variables ─────► variables ──► normalize
//! ```
//!
//! All subscriptions with the same document resolve their events with one kept operation, unless its selection depends on
//! variables.
//!
//! Rejected documents are not kept. The total size of kept documents is limited. The cache prefers to keep documents that are
//! used often, so a client that sends unique documents does not evict them.

use std::{fmt::Write, sync::Arc};

use apollo_compiler::{ExecutableDocument, Name, validation::Valid};
use async_graphql::{Variables, parser::types::OperationType};
use moka::sync::Cache;

use super::{
    cached_responses::{CacheableFields, is_cacheable},
    document::{self, DocumentSchema},
    limits::Rejection,
    normalize::{self, Operation},
    serialization::append_json,
    tokens, variables,
};
use crate::telemetry::metrics::{GraphqlMetrics, HitCounter, Metrics, OperationMetrics};

/// The maximum size of all kept documents, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The maximum size of one kept document, in bytes. Larger ones are prepared for each request.
const MAX_DOCUMENT_BYTES: usize = 256 * 1024;
/// The assumed size of a token in a parsed document, in bytes.
const TOKEN_BYTES: usize = 512;
/// The maximum length of the text that identifies a cacheable request, in bytes.
const MAX_REQUEST_BYTES: usize = 4096;

#[derive(Clone)]
pub(super) struct PreparedDocuments {
    kept: Cache<String, Arc<PreparedDocument>>,
    cacheable: CacheableFields,
    metrics: GraphqlMetrics,
    hits: HitCounter,
}

/// An accepted operation of a request.
pub(super) struct Accepted {
    /// The text of the document, from which the locations of errors are computed.
    pub(super) text: Arc<str>,
    pub(super) operation: Arc<Operation>,
    /// The operation that resolves the events of a subscription. Requests with the same document share it, so its root arguments
    /// may be those of another request; resolving an event does not use them.
    pub(super) events: Arc<Operation>,
    /// The text that identifies the request (operation name, document and variables), if the response may be kept.
    pub(super) cacheable_request: Option<String>,
    pub(super) metrics: OperationMetrics,
}

struct PreparedDocument {
    text: Arc<str>,
    document: Valid<ExecutableDocument>,
    has_variables: bool,
    /// The normalized operation, if it does not depend on variables. The operation of a subscription is kept even if its root
    /// arguments depend on variables, because resolving an event does not use them.
    operation: Option<Arc<Operation>>,
    is_cacheable: bool,
    metrics: OperationMetrics,
    /// The approximate size, in bytes.
    bytes: usize,
}

impl PreparedDocuments {
    pub(super) fn new(cacheable: CacheableFields, metrics: &Metrics) -> Self {
        let weight = |key: &String, prepared: &Arc<PreparedDocument>| {
            u32::try_from(key.len() + prepared.text.len() + prepared.bytes).unwrap_or(u32::MAX)
        };
        let kept = Cache::builder().weigher(weight).max_capacity(MAX_BYTES).build();
        Self { kept, cacheable, metrics: metrics.graphql.clone(), hits: metrics.caches.of("documents") }
    }

    /// Accepts the operation of a request.
    ///
    /// # Errors
    /// The document or its variables are rejected.
    pub(super) fn prepare(
        &self,
        schema: &DocumentSchema,
        text: &str,
        name: Option<&str>,
        variables: &mut Variables,
    ) -> Result<Accepted, Rejection> {
        let key = key(name, text);
        let known = self.kept.get(&key);
        self.hits.count(known.is_some());
        if let Some(known) = known {
            let cacheable_request = cacheable_request(&known, key, variables);
            let operation = match &known.operation {
                Some(operation) if !known.has_variables => operation.clone(),
                _ => normalize(schema, &known.document, name, variables)?.into(),
            };
            let events = known.operation.as_ref().unwrap_or(&operation).clone();
            let (text, metrics) = (known.text.clone(), known.metrics.clone());
            return Ok(Accepted { text, operation, events, cacheable_request, metrics });
        }
        let (operation, prepared) = self.parse_and_normalize(schema, text, name, variables)?;
        let (text, metrics) = (prepared.text.clone(), prepared.metrics.clone());
        if prepared.bytes <= MAX_DOCUMENT_BYTES {
            self.kept.insert(key, Arc::new(prepared));
        }
        // `cacheable_request` is `None`, because a response is kept only if its document is a repeated one.
        Ok(Accepted { text, events: operation.clone(), operation, cacheable_request: None, metrics })
    }

    fn parse_and_normalize(
        &self,
        schema: &DocumentSchema,
        text: &str,
        name: Option<&str>,
        variables: &mut Variables,
    ) -> Result<(Arc<Operation>, PreparedDocument), Rejection> {
        let tokens = tokens::count(text)?;
        let document = schema.parse(text)?;
        let operation = Arc::new(normalize(schema, &document, name, variables)?);
        let definition = document::operation(&document, name)?;
        let has_variables = !definition.variables.is_empty();
        let is_cacheable = is_cacheable(&document, definition, self.cacheable);
        let metrics = self
            .metrics
            .operation(definition.operation_type.name(), definition.name.as_ref().map(Name::as_str));
        let can_be_kept = !has_variables
            || (operation.kind == OperationType::Subscription && operation.has_constant_selection);
        let kept = can_be_kept.then(|| operation.clone());
        let bytes = text.len() + tokens * TOKEN_BYTES + kept.as_ref().map_or(0, |operation| operation.bytes);
        let text = text.into();
        let prepared =
            PreparedDocument { text, document, has_variables, operation: kept, is_cacheable, metrics, bytes };
        Ok((operation, prepared))
    }
}

/// The text that identifies a request, if the response to it may be kept. `key` is that of its document.
fn cacheable_request(prepared: &PreparedDocument, key: String, variables: &Variables) -> Option<String> {
    if !prepared.is_cacheable {
        return None;
    }
    // JSON never contains a NUL character, so different requests have different texts.
    let request = append_json(key + "\0", variables, 0);
    (request.len() <= MAX_REQUEST_BYTES).then_some(request)
}

/// The key of a kept document: the escaped operation name and the text of the document.
fn key(name: Option<&str>, text: &str) -> String {
    // Has room for short names, and for the variables that follow if the request is cacheable.
    let mut key = String::with_capacity(text.len() + 128);
    // Writing to a string never fails.
    let _ = write!(key, "{name:?}\n{text}");
    key
}

fn normalize(
    schema: &DocumentSchema,
    document: &ExecutableDocument,
    name: Option<&str>,
    variables: &mut Variables,
) -> Result<Operation, Rejection> {
    let operation = document::operation(document, name)?;
    let values = variables::coerce(&schema.schema, &operation.variables, variables)?;
    normalize::normalize(schema, document, operation, &values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SDL: &str = "type Query { item(id: ID): Item } type Item { name: String }";

    /// The normalized operation of a request with the variable `id`, as text.
    fn prepare(
        documents: &PreparedDocuments,
        text: &str,
        name: Option<&str>,
        id: &str,
    ) -> Result<String, Rejection> {
        let schema = DocumentSchema::new(SDL, true).unwrap();
        let mut variables = Variables::from_json(json!({ "id": id }));
        let accepted = documents.prepare(&schema, text, name, &mut variables)?;
        Ok(format!("{:?}", accepted.operation.document.operations))
    }

    fn count_kept(documents: &PreparedDocuments) -> u64 {
        documents.kept.run_pending_tasks();
        documents.kept.entry_count()
    }

    #[test]
    fn a_repeated_document_with_other_variables_is_normalized_with_them() {
        let documents = PreparedDocuments::new(&[], &Metrics::default());
        let text = "query($id: ID) { item(id: $id) { name } }";
        for id in ["first", "second", "first"] {
            let operation = prepare(&documents, text, None, id).unwrap();
            assert!(operation.contains(id), "{operation}");
        }
        assert_eq!(count_kept(&documents), 1);
    }

    #[test]
    fn a_repeated_document_without_variables_has_the_same_normalized_operation() {
        let documents = PreparedDocuments::new(&[], &Metrics::default());
        let text = "query A { item(id: 1) { name } } query B { item(id: 2) { other: name } }";
        let operations = [prepare(&documents, text, Some("A"), ""), prepare(&documents, text, Some("B"), "")];
        assert_ne!(operations[0], operations[1]);
        assert_eq!(prepare(&documents, text, Some("A"), ""), operations[0]);
        assert_eq!(prepare(&documents, text, Some("B"), ""), operations[1]);
        assert_eq!(count_kept(&documents), 2);
        for unknown_name in [None, Some(""), Some("C")] {
            let rejected = prepare(&documents, text, unknown_name, "");
            assert!(matches!(rejected, Err(Rejection::Invalid(_))), "{rejected:?}");
        }
    }

    #[test]
    fn a_rejected_document_is_not_kept() {
        let documents = PreparedDocuments::new(&[], &Metrics::default());
        for text in ["{", "{ unknown }", "query($n: Boolean!) { item { name @include(if: $n) } }"] {
            assert!(prepare(&documents, text, None, "x").is_err(), "{text}");
        }
        assert_eq!(count_kept(&documents), 0);
    }

    #[test]
    fn the_bytes_of_prepared_documents_are_limited() {
        let documents = PreparedDocuments::new(&[], &Metrics::default());
        let often_used = "{ item { name } }";
        let padding = "#".repeat(MAX_DOCUMENT_BYTES / 2);
        for number in 0..2 * MAX_BYTES / (padding.len() as u64) {
            prepare(&documents, often_used, None, "").unwrap();
            prepare(&documents, &format!("{{ item(id: {number}) {{ name }} }} {padding}"), None, "").unwrap();
        }
        documents.kept.run_pending_tasks();
        assert!(documents.kept.weighted_size() <= MAX_BYTES);
        assert!(
            documents.kept.contains_key(&key(None, often_used)),
            "unique documents evicted one that is used often"
        );
    }
}
