//! Signals between processes: notifications without payload that something has changed. A subscriber that receives a signal
//! reads from the database what has changed.

use async_trait::async_trait;
use entity::{ChatroomId, SessionId, UserId};
use futures_util::stream::BoxStream;

use super::Unavailable;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// There may be a job to claim.
    Jobs,
    /// A stop of a running job was requested.
    Stops,
    /// This session may have ended.
    Session(SessionId),
    /// Something in this chatroom changed, or it was deleted.
    Chatroom(ChatroomId),
    /// This user's list of chatrooms, or something in one of them, changed.
    Chatrooms(UserId),
    /// This user's tier, billing state or usage changed.
    Account(UserId),
}

#[async_trait]
pub trait Signals: Send + Sync {
    /// Whether signals can be published and received now.
    async fn check(&self) -> Result<(), Unavailable>;

    /// Publishes a signal of each topic to its subscribers in every process.
    async fn publish(&self, topics: &[Topic]) -> Result<(), Unavailable>;

    /// One item for every signal from now on; the stream does not end. Signals that arrive between two polls are merged.
    /// While signals cannot be received, the stream yields an item from time to time, so that the subscriber polls the database.
    async fn subscribe(&self, topic: Topic) -> BoxStream<'static, ()>;
}
