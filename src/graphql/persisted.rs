//! Documents by their hash: Apollo's [automatic persisted queries](https://www.apollographql.com/docs/apollo-server/performance/apq),
//! and documents that are trusted because a manifest names them.

use std::{collections::HashMap, path::Path, sync::Arc};

use anyhow::Context;
use async_graphql::{Request, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use ring::digest;
use serde::Deserialize;

use super::rejection;
use crate::ports::cache::Cache;

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

    /// Puts the document into a request that names it by its hash.
    pub(super) async fn complete(&self, request: Request) -> Result<Request, Response> {
        let asked = request.extensions.get("persistedQuery").cloned();
        let Ok(asked) = asked.map(async_graphql::from_value::<Persisted>).transpose() else {
            return Err(bad("persistedQuery must hold a version and a sha256Hash."));
        };
        if asked.as_ref().is_some_and(|asked| asked.version != 1) {
            return Err(bad("persistedQuery must be of version 1."));
        }
        let hash = asked.map(|asked| asked.hash.to_ascii_lowercase());
        Ok(match (self, hash) {
            (Self::Trusted(documents), hash) => {
                let key = hash.unwrap_or_else(|| sha256(&request.query));
                match documents.get(&key) {
                    Some(document) => with(request, document.clone()),
                    None => {
                        return Err(rejection(
                            "PERSISTED_QUERY_ONLY",
                            "Only known documents are executed here.",
                        ));
                    }
                }
            }
            (Self::Unkept, Some(_)) if request.query.is_empty() => {
                return Err(rejection("PERSISTED_QUERY_NOT_SUPPORTED", "PersistedQueryNotSupported"));
            }
            (_, Some(hash)) if !request.query.is_empty() && sha256(&request.query) != hash => {
                return Err(bad("sha256Hash is not the hash of query."));
            }
            (Self::Unkept, Some(_)) | (_, None) => request,
            (Self::Kept(cache), Some(hash)) => {
                let given = request.query.clone();
                let load = async {
                    anyhow::ensure!(!given.is_empty(), "it has not been sent yet");
                    Ok(Bytes::from(given))
                };
                match cache.get_or_load(&format!("document:{hash}"), load.boxed()).await {
                    Ok(document) => with(request, String::from_utf8_lossy(&document).into_owned()),
                    // The words by which Apollo's clients know it.
                    Err(_) => return Err(rejection("PERSISTED_QUERY_NOT_FOUND", "PersistedQueryNotFound")),
                }
            }
        })
    }
}

fn with(mut request: Request, document: String) -> Request {
    request.query = document;
    request
}

fn bad(message: &str) -> Response {
    rejection("BAD_USER_INPUT", message)
}

fn sha256(document: &str) -> String {
    hex::encode(digest::digest(&digest::SHA256, document.as_bytes()))
}
