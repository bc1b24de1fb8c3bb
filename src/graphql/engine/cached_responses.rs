//! Keeps in memory the responses to queries that read only the user's list of chatrooms. Each response is stored under the
//! version that the list had. While the list still has this version, a repeated query receives the kept response: the list is
//! not read, and no field is resolved.
//!
//! `graphql::schema::CACHEABLE` lists the fields that a kept response may contain.

use apollo_compiler::{ExecutableDocument, Name, executable::Operation, executable::Selection};
use bytes::Bytes;
use entity::UserId;
use moka::sync::Cache;

/// The maximum size of all kept responses with their keys, in bytes.
const MAX_BYTES: u64 = 16 * 1024 * 1024;
/// The maximum size of one kept response, in bytes.
const MAX_RESPONSE_BYTES: usize = 64 * 1024;

/// Types of the schema, each with those of its fields whose values depend only on the field's arguments and the user's list of
/// chatrooms.
pub type CacheableFields = &'static [(&'static str, &'static [&'static str])];

/// Whether the response to an operation may be kept. Checks each fragment of the document once, even one that this operation
/// does not use, so that the check takes time linear in the size of the document.
pub(super) fn is_cacheable(
    document: &ExecutableDocument,
    operation: &Operation,
    cacheable: CacheableFields,
) -> bool {
    let fragments = document.fragments.values().map(|fragment| &fragment.selection_set);
    let mut pending: Vec<_> = fragments.chain([&operation.selection_set]).collect();
    while let Some(set) = pending.pop() {
        for selection in &set.selections {
            match selection {
                Selection::Field(field) => {
                    if !is_field_cacheable(cacheable, &set.ty, &field.name) {
                        return false;
                    }
                    pending.push(&field.selection_set);
                }
                Selection::InlineFragment(fragment) => pending.push(&fragment.selection_set),
                // `pending` contained the selection of every fragment from the start.
                Selection::FragmentSpread(_) => {}
            }
        }
    }
    operation.is_query()
}

fn is_field_cacheable(cacheable: CacheableFields, parent_type: &Name, field: &Name) -> bool {
    field == "__typename"
        || cacheable
            .iter()
            .any(|(type_name, fields)| parent_type == *type_name && fields.contains(&field.as_str()))
}

/// Everything on which a kept response depends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub user: UserId,
    pub list_version: i64,
    /// The operation name, the document and the variables.
    pub request: String,
}

#[derive(Clone)]
pub(super) struct CachedResponses {
    /// The data of each response, as JSON.
    kept: Cache<Key, Bytes>,
}

impl Default for CachedResponses {
    fn default() -> Self {
        let weight = |key: &Key, data: &Bytes| {
            u32::try_from(size_of::<Key>() + key.request.len() + data.len()).unwrap_or(u32::MAX)
        };
        Self { kept: Cache::builder().weigher(weight).max_capacity(MAX_BYTES).build() }
    }
}

impl CachedResponses {
    pub(super) fn get(&self, key: &Key) -> Option<Bytes> {
        self.kept.get(key)
    }

    pub(super) fn insert(&self, key: Key, data: Bytes) {
        if data.len() <= MAX_RESPONSE_BYTES {
            self.kept.insert(key, data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::engine::document::{self, DocumentSchema};

    const SDL: &str = "type Query { list(id: ID): [Item!]! other: Int } type Item { id: ID! live: Int } \
        type Mutation { change: Int }";
    const CACHEABLE: CacheableFields = &[("Query", &["list"]), ("Item", &["id"])];

    /// Whether the response to the only operation of a document may be kept.
    fn is_cacheable(text: &str) -> bool {
        let document = DocumentSchema::new(SDL, true).unwrap().parse(text).unwrap();
        super::is_cacheable(&document, document::operation(&document, None).unwrap(), CACHEABLE)
    }

    #[test]
    fn a_response_may_be_kept_only_if_all_its_fields_are_cacheable() {
        assert!(is_cacheable("{ list { id } again: list(id: 1) { __typename id } }"));
        assert!(is_cacheable(
            "query($id: ID) { ...F } fragment F on Query { list(id: $id) { ... on Item { id } } }"
        ));
        for text in [
            "mutation { __typename }",
            "{ other }",
            "{ list { id } other }",
            "{ list { id live } }",
            "{ list { id ... on Item { live } } }",
            "{ list { ...F } } fragment F on Item { live }",
            "{ list { id } __schema { description } }",
        ] {
            assert!(!is_cacheable(text), "{text}");
        }
    }

    #[test]
    fn the_bytes_of_kept_responses_are_limited() {
        let responses = CachedResponses::default();
        let key = |number| Key { user: UserId::generate(), list_version: number, request: String::new() };
        let (largest, too_large) = (vec![0; MAX_RESPONSE_BYTES], vec![0; MAX_RESPONSE_BYTES + 1]);
        responses.insert(key(0), too_large.into());
        responses.kept.run_pending_tasks();
        assert_eq!(responses.kept.entry_count(), 0);
        for number in 0..300 {
            responses.insert(key(number), largest.clone().into());
        }
        responses.kept.run_pending_tasks();
        assert!((1..=MAX_BYTES).contains(&responses.kept.weighted_size()));
    }
}
