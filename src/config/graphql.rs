//! Settings of the GraphQL API.

use std::{path::PathBuf, time::Duration};

use super::Switch;

#[derive(Clone, Debug, clap::Args)]
pub struct GraphqlSettings {
    /// Introspection, suggestions in error messages, and GraphiQL
    #[arg(long, env = "INTROSPECTION", hide_env_values = true, default_value = "on")]
    pub introspection: Switch,

    /// Persisted queries: `on` for Apollo's automatic persisted queries, `only` to reject documents that are not in a manifest
    #[arg(long, env = "PERSISTED_QUERIES", hide_env_values = true, default_value = "on")]
    pub persisted_queries: PersistedQueries,

    /// Manifest for PERSISTED_QUERIES=only: Apollo's format, or a JSON object from hash to document
    #[arg(long, env = "PERSISTED_QUERIES_FILE", hide_env_values = true)]
    pub persisted_queries_file: Option<PathBuf>,

    /// With PERSISTED_QUERIES=on: how long a document is stored, in seconds
    #[arg(long, env = "PERSISTED_QUERIES_TTL", hide_env_values = true, default_value = "3600", value_parser = super::seconds(1..=604_800))]
    pub persisted_queries_ttl: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PersistedQueries {
    /// Documents are not stored
    Off,
    /// All documents are executed, and stored for requests that send only the hash
    On,
    /// Only documents in the manifest are executed
    Only,
}

impl GraphqlSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.persisted_queries, &self.persisted_queries_file) {
            (PersistedQueries::Only, None) => {
                Err("PERSISTED_QUERIES=only requires PERSISTED_QUERIES_FILE.".to_owned())
            }
            _ => Ok(()),
        }
    }
}
