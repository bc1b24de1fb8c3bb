//! Publishes signals after a commit.

use crate::ports::signals::{Signals, Topic};

/// Publishes signals. A signal that cannot be published only delays its subscribers until they poll.
pub(super) async fn publish(signals: &dyn Signals, topics: &[Topic]) {
    if let Err(error) = signals.publish(topics).await {
        tracing::debug!(?topics, %error, "publishing signals failed");
    }
}
