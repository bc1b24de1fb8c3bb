//! Publishes signals after a commit.

use futures_util::future::join_all;

use crate::ports::signals::{Signals, Topic};

/// Publishes signals concurrently. A signal that cannot be published only delays its subscribers until they poll.
pub(super) async fn publish(signals: &dyn Signals, topics: &[Topic]) {
    join_all(topics.iter().map(async |&topic| {
        if let Err(error) = signals.publish(topic).await {
            tracing::debug!(?topic, %error, "publishing a signal failed");
        }
    }))
    .await;
}
