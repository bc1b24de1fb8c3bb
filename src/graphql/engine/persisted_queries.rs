//! Persisted queries: a request sends the hash of its document instead of the document. The server knows the document from an
//! earlier request (Apollo's [automatic persisted queries](https://www.apollographql.com/docs/apollo-server/performance/apq)) or
//! from a manifest.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use async_graphql::{Request, Response};
use moka::sync::Cache;
use ring::digest;
use serde::Deserialize;

use super::{error::rejection, error_code::ErrorCode};

/// The number of hexadecimal digits of a SHA-256 hash.
const HASH_DIGITS: usize = 64;
/// The maximum size of a stored document, in bytes. Longer documents are not stored.
const MAX_DOCUMENT_BYTES: usize = 16 * 1024;
/// The maximum size of all stored documents and their hashes, in bytes.
const MAX_STORED_BYTES: u64 = 16 * 1024 * 1024;

/// Finds documents by their hash.
#[derive(Clone)]
pub enum DocumentStore {
    /// Every request must send its document.
    Off,
    /// Stores the documents that clients send with their hash, in this process. Clients resend a document that is not stored.
    Automatic(Cache<String, Arc<str>>),
    /// The documents of a manifest, by hash and by id. No other document is executed.
    Manifest(Arc<HashMap<String, String>>),
}

/// A manifest, as `@apollo/generate-persisted-query-manifest` or Relay's compiler writes it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    Apollo { operations: Vec<Operation> },
    ByHash(HashMap<String, String>),
}

#[derive(Deserialize)]
struct Operation {
    id: String,
    body: String,
}

/// The value of `extensions.persistedQuery` in a request.
#[derive(Deserialize)]
struct PersistedQuery {
    version: u32,
    #[serde(rename = "sha256Hash")]
    hash: String,
}

impl DocumentStore {
    /// Creates an empty store. A document expires `ttl` after it was stored.
    #[must_use]
    pub fn automatic(ttl: Duration) -> Self {
        let weight = |hash: &String, document: &Arc<str>| {
            u32::try_from(hash.len() + document.len()).unwrap_or(u32::MAX)
        };
        Self::Automatic(
            Cache::builder().weigher(weight).max_capacity(MAX_STORED_BYTES).time_to_live(ttl).build(),
        )
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// The file cannot be read, or is not a manifest.
    pub fn from_manifest(manifest: &Path) -> anyhow::Result<Self> {
        let parse = || anyhow::Ok(serde_json::from_slice(&std::fs::read(manifest)?)?);
        let manifest: Manifest = parse()
            .with_context(|| format!("PERSISTED_QUERIES_FILE {} cannot be read", manifest.display()))?;
        let mut documents = match manifest {
            Manifest::Apollo { operations } => {
                operations.into_iter().map(|operation| (operation.id, operation.body)).collect()
            }
            Manifest::ByHash(documents) => documents,
        };
        // Manifests may identify documents by other ids than their hashes. A request may also send the whole document, which is
        // then looked up by its hash.
        let by_hash: Vec<_> =
            documents.values().map(|document| (sha256(document), document.clone())).collect();
        documents.extend(by_hash);
        Ok(Self::Manifest(Arc::new(documents)))
    }

    /// Adds the document to a request that sends only its hash. If the request sends both, also returns the hash: after the
    /// document has been validated, the caller stores it under this hash.
    ///
    /// # Errors
    /// The response to a request whose hash is unknown or malformed, or whose document is not allowed.
    pub(super) fn resolve(&self, request: &mut Request) -> Result<Option<String>, Box<Response>> {
        let extension = request.extensions.get("persistedQuery").cloned();
        let Ok(persisted) = extension.map(async_graphql::from_value::<PersistedQuery>).transpose() else {
            return Err(invalid("persistedQuery must hold a version and a sha256Hash."));
        };
        if persisted.as_ref().is_some_and(|persisted| persisted.version != 1) {
            return Err(invalid("The version of persistedQuery must be 1."));
        }
        let hash = persisted.map(|persisted| persisted.hash);
        if let Self::Manifest(documents) = self {
            let document = documents.get(&hash.unwrap_or_else(|| sha256(&request.query)));
            let document = document.ok_or_else(|| {
                let message = "This server executes only the documents of its manifest.";
                reject(ErrorCode::PersistedQueryOnly, message)
            })?;
            document.clone_into(&mut request.query);
            return Ok(None);
        }
        let Some(hash) = hash.map(|hash| hash.to_ascii_lowercase()) else { return Ok(None) };
        if !request.query.is_empty() {
            return if sha256(&request.query) == hash {
                Ok(Some(hash))
            } else {
                Err(invalid("sha256Hash is not the hash of query."))
            };
        }
        let Self::Automatic(stored) = self else {
            return Err(reject(ErrorCode::PersistedQueryNotSupported, "PersistedQueryNotSupported"));
        };
        if hash.len() != HASH_DIGITS || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid("sha256Hash must be 64 hexadecimal digits."));
        }
        match stored.get(&hash) {
            Some(document) => {
                document.as_ref().clone_into(&mut request.query);
                Ok(None)
            }
            // Apollo's clients match this message.
            None => Err(reject(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound")),
        }
    }

    /// Stores a validated document under its hash.
    pub(super) fn store(&self, hash: String, document: &str) {
        if let Self::Automatic(stored) = self
            && document.len() <= MAX_DOCUMENT_BYTES
        {
            stored.insert(hash, document.into());
        }
    }
}

fn invalid(message: &str) -> Box<Response> {
    reject(ErrorCode::BadUserInput, message)
}

fn reject(code: ErrorCode, message: &str) -> Box<Response> {
    Box::new(rejection(code, message))
}

fn sha256(document: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, document.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The document that the store finds by the hash of `document`.
    fn find(store: &DocumentStore, document: &str) -> Option<String> {
        let extension = serde_json::json!({"version": 1, "sha256Hash": sha256(document)});
        let mut request = Request::new("");
        request.extensions =
            serde_json::from_value(serde_json::json!({ "persistedQuery": extension })).unwrap();
        store.resolve(&mut request).ok().map(|_| request.query)
    }

    #[test]
    fn a_stored_document_expires_and_one_that_is_too_long_is_not_stored() {
        let store = DocumentStore::automatic(Duration::from_hours(1));
        store.store(sha256("{ me }"), "{ me }");
        assert_eq!(find(&store, "{ me }").as_deref(), Some("{ me }"));
        let long = "x".repeat(MAX_DOCUMENT_BYTES + 1);
        store.store(sha256(&long), &long);
        assert_eq!(find(&store, &long), None);
        let expired = DocumentStore::automatic(Duration::ZERO);
        expired.store(sha256("{ me }"), "{ me }");
        assert_eq!(find(&expired, "{ me }"), None);
    }

    #[test]
    fn the_bytes_of_stored_documents_are_limited() {
        let store = DocumentStore::automatic(Duration::from_hours(1));
        let DocumentStore::Automatic(stored) = &store else { panic!("the store is automatic") };
        for number in 0..2 * MAX_STORED_BYTES / MAX_DOCUMENT_BYTES as u64 {
            let document = format!("{number:>MAX_DOCUMENT_BYTES$}");
            store.store(sha256(&document), &document);
        }
        stored.run_pending_tasks();
        assert!(stored.weighted_size() <= MAX_STORED_BYTES);
    }
}
