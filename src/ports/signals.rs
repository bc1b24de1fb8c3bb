//! Hints between processes that something has changed. The truth is in the database: whoever hears a hint reads it there.

use async_trait::async_trait;
use entity::{ChatroomId, MessageId, SessionId, UserId};
use futures_util::stream::BoxStream;

use super::Unavailable;

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// There may be a job to claim.
    Jobs,
    /// This reply was asked to stop.
    Stop(MessageId),
    /// This session may have ended.
    Session(SessionId),
    /// Something in this room changed, or it is gone.
    Room(ChatroomId),
    /// This user's tier, billing state or usage changed.
    Account(UserId),
}

#[async_trait]
pub trait Signals: Send + Sync {
    /// Whether hints can be sent and heard now.
    async fn check(&self) -> Result<(), Unavailable>;

    /// Tells every listener in every process.
    async fn send(&self, topic: Topic) -> Result<(), Unavailable>;

    /// One item for every hint from now on, without an end; hints that come while none is awaited are one. While hints
    /// cannot be heard, there is one now and then, so that whoever listens looks by itself.
    async fn listen(&self, topic: Topic) -> BoxStream<'static, ()>;
}
