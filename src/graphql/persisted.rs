//! Documents by their hash: Apollo's [automatic persisted queries](https://www.apollographql.com/docs/apollo-server/performance/apq),
//! and documents that are trusted because a manifest names them.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::Context;
use async_graphql::{Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use ring::digest;
use serde::Deserialize;

use super::{ErrorCode, rejection};
use crate::ports::cache::Cache;

/// Hexadecimal digits of a SHA-256.
const HASH: usize = 64;
/// Longer ones are sent each time, in bytes.
const LONGEST_KEPT: usize = 16 * 1024;

/// Where documents are kept, and which.
#[derive(Clone)]
pub enum Documents {
    Unkept,
    /// By hash, for whoever sends it.
    Kept(Arc<dyn Cache>),
    /// All there are, by hash or id.
    Trusted(Arc<HashMap<String, String>>),
}

/// A manifest, as `@apollo/generate-persisted-query-manifest` writes it, or as Relay's compiler does.
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

/// `extensions.persistedQuery` of a request.
#[derive(Deserialize)]
struct Persisted {
    version: u32,
    #[serde(rename = "sha256Hash")]
    hash: String,
}

impl Documents {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The file is not there, or not one.
    pub fn trusted(manifest: &Path) -> anyhow::Result<Self> {
        let read = || anyhow::Ok(serde_json::from_slice(&std::fs::read(manifest)?)?);
        let read: Manifest = read()
            .with_context(|| format!("PERSISTED_QUERIES_FILE {} cannot be read", manifest.display()))?;
        let mut documents = match read {
            Manifest::Apollo { operations } => {
                operations.into_iter().map(|operation| (operation.id, operation.body)).collect()
            }
            Manifest::ByHash(documents) => documents,
        };
        // Whoever sends a document itself is asked for nothing more.
        let hashed: Vec<_> =
            documents.values().map(|document| (sha256(document), document.clone())).collect();
        documents.extend(hashed);
        Ok(Self::Trusted(Arc::new(documents)))
    }

    /// Puts the document into a request that names it by its hash. The hash, if this document is to be kept under it.
    pub(super) async fn complete(&self, request: Request) -> Result<(Request, Option<String>), Response> {
        let asked = request.extensions.get("persistedQuery").cloned();
        let Ok(asked) = asked.map(async_graphql::from_value::<Persisted>).transpose() else {
            return Err(bad("persistedQuery must hold a version and a sha256Hash."));
        };
        if asked.as_ref().is_some_and(|asked| asked.version != 1) {
            return Err(bad("persistedQuery must be of version 1."));
        }
        let hash = asked.map(|asked| asked.hash);
        if let Self::Trusted(documents) = self {
            let document = documents.get(&hash.unwrap_or_else(|| sha256(&request.query)));
            let document = document.ok_or_else(|| {
                rejection(ErrorCode::PersistedQueryOnly, "Only documents of the manifest are executed here.")
            })?;
            return Ok((with(request, document.clone()), None));
        }
        let Some(hash) = hash.map(|hash| hash.to_ascii_lowercase()) else { return Ok((request, None)) };
        if !request.query.is_empty() {
            return if sha256(&request.query) == hash {
                Ok((request, Some(hash)))
            } else {
                Err(bad("sha256Hash is not the hash of query."))
            };
        }
        let Self::Kept(kept) = self else {
            return Err(rejection(ErrorCode::PersistedQueryNotSupported, "PersistedQueryNotSupported"));
        };
        if hash.len() != HASH || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(bad("sha256Hash must be 64 hexadecimal digits."));
        }
        let nothing = async { anyhow::bail!("it has not been sent yet") };
        match kept.get_or_load(&key(&hash), nothing.boxed()).await {
            Ok(document) => Ok((with(request, String::from_utf8_lossy(&document).into_owned()), None)),
            // The words by which Apollo's clients know it.
            Err(_) => Err(rejection(ErrorCode::PersistedQueryNotFound, "PersistedQueryNotFound")),
        }
    }

    /// Keeps a document that is within all limits under its hash.
    pub(super) async fn keep(&self, hash: &str, document: &str) {
        let (Self::Kept(kept), true) = (self, document.len() <= LONGEST_KEPT) else { return };
        let given = Bytes::copy_from_slice(document.as_bytes());
        // Where it is not kept, it is sent again.
        let _ = kept.get_or_load(&key(hash), async { Ok(given) }.boxed()).await;
    }
}

fn key(hash: &str) -> String {
    format!("document:{hash}")
}

fn with(mut request: Request, document: String) -> Request {
    request.query = document;
    request
}

fn bad(message: &str) -> Response {
    rejection(ErrorCode::BadUserInput, message)
}

fn sha256(document: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, document.as_bytes()))
}
