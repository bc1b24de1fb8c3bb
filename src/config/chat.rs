//! Settings of the chat: parallel replies, titles, cache.

use std::{num::NonZeroU32, time::Duration};

use super::Switch;

#[derive(Clone, Debug, clap::Args)]
pub struct ChatSettings {
    /// Maximum concurrent replies of a user without a subscription
    #[arg(long, env = "BASIC_PARALLEL_REPLIES", hide_env_values = true, default_value = "2", value_parser = super::number::<NonZeroU32>(1..=1000))]
    pub basic_parallel_replies: NonZeroU32,

    /// Maximum concurrent replies of a subscriber
    #[arg(long, env = "PRO_PARALLEL_REPLIES", hide_env_values = true, default_value = "5", value_parser = super::number::<NonZeroU32>(1..=1000))]
    pub pro_parallel_replies: NonZeroU32,

    /// Whether the model gives titles to new chatrooms, after the first reply (on or off)
    #[arg(long, env = "CHATROOM_TITLES", hide_env_values = true, value_enum, default_value = "on")]
    pub chatroom_titles: Switch,

    /// Lifetime of a cached page of chatrooms in seconds; a write invalidates it at once
    #[arg(long, env = "CHATROOM_CACHE_TTL", hide_env_values = true, default_value = "300", value_parser = super::seconds(0..=86_400))]
    pub chatroom_cache_ttl: Duration,
}
