//! Publishing signals after a commit.

use futures_util::future::join_all;

use crate::ports::signals::{Signals, Topic};

/// Publishes signals, concurrently. A lost signal delays its subscribers until they poll.
pub(super) async fn publish(signals: &dyn Signals, topics: &[Topic]) {
    join_all(topics.iter().map(async |&topic| {
        if let Err(unavailable) = signals.publish(topic).await {
            tracing::debug!(?topic, error = %unavailable, "publishing a signal failed");
        }
    }))
    .await;
}
