//! Which documents are executed.

use std::path::PathBuf;

use super::Switch;

#[derive(Clone, Debug, clap::Args)]
pub struct GraphqlSettings {
    /// Whether the schema tells of itself, in introspection, in the suggestions of errors and on the page
    #[arg(long, env = "INTROSPECTION", hide_env_values = true, default_value = "on")]
    pub introspection: Switch,

    /// Documents by their hash: `off`, `on` (Apollo's automatic persisted queries), or `only` those of a manifest
    #[arg(long, env = "PERSISTED_QUERIES", hide_env_values = true, default_value = "on")]
    pub persisted_queries: PersistedQueries,

    /// The manifest of PERSISTED_QUERIES=only: Apollo's, or an object of documents by their hashes
    #[arg(long, env = "PERSISTED_QUERIES_FILE", hide_env_values = true)]
    pub persisted_queries_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PersistedQueries {
    Off,
    /// Any document is executed, and kept for whoever sends its hash
    On,
    /// Only documents that the manifest names are executed
    Only,
}

impl GraphqlSettings {
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.persisted_queries, &self.persisted_queries_file) {
            (PersistedQueries::Only, None) => {
                Err("PERSISTED_QUERIES=only executes what PERSISTED_QUERIES_FILE names: set it.".to_owned())
            }
            _ => Ok(()),
        }
    }
}
