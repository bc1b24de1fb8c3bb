//! The relay of a server without Redis: it finds changes that operators made with `pollux admin`, which is another process, in
//! the audit rows, and publishes their signals in the server.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use entity::{ChatroomId, SessionId, UserId};
use tokio_util::sync::CancellationToken;

use crate::{
    clock::Clock,
    domain::publish::publish,
    ports::signals::{Signals, Topic},
    store::{Db, admin},
};

/// How often the relay looks for new changes: often enough that the sockets of a blocked user close within a second.
const INTERVAL: Duration = Duration::from_millis(500);
/// The relay reads changes up to this age. It is longer than a transaction takes to commit, and than the clocks of the two
/// processes differ, so that the relay misses no change.
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// Distinguishes a user's list of chatrooms from the user's account: both are encoded with the id of the user.
const LIST_PREFIX: &str = "list:";

/// The text that stands for a topic in an audit row.
pub(super) fn encode(topic: Topic) -> String {
    match topic {
        Topic::Jobs => "jobs".to_owned(),
        Topic::Stops => "stops".to_owned(),
        Topic::Session(id) => id.to_string(),
        Topic::Chatroom(id) => id.to_string(),
        Topic::Account(id) => id.to_string(),
        Topic::Chatrooms(id) => format!("{LIST_PREFIX}{id}"),
    }
}

/// The topic that [`encode`] turned into `text`; none for a topic that only a newer release knows.
fn decode(text: &str) -> Option<Topic> {
    match text {
        "jobs" => Some(Topic::Jobs),
        "stops" => Some(Topic::Stops),
        _ if let Some(user) = text.strip_prefix(LIST_PREFIX) => user.parse().map(Topic::Chatrooms).ok(),
        // The prefix of an id depends on its type, so at most one of these succeeds.
        _ => text
            .parse::<SessionId>()
            .map(Topic::Session)
            .or_else(|_| text.parse::<ChatroomId>().map(Topic::Chatroom))
            .or_else(|_| text.parse::<UserId>().map(Topic::Account))
            .ok(),
    }
}

/// Publishes the signals of new changes until `closing` is cancelled. A signal may be published twice, which is harmless.
pub async fn run(db: Db, clock: Clock, signals: &dyn Signals, closing: CancellationToken) {
    let mut published = HashSet::new();
    while closing.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        let recent = match admin::signals_since(db.read(), clock.now() - WINDOW).await {
            Ok(recent) => recent,
            Err(error) => {
                tracing::debug!(%error, "failed to read the changes of operators");
                continue;
            }
        };
        for (id, encoded) in &recent {
            if published.insert(*id) {
                let topics: Vec<Topic> = encoded.split_whitespace().filter_map(decode).collect();
                publish(signals, &topics).await;
            }
        }
        // Changes older than the window are not read any more, so their ids need not be kept.
        published.retain(|id| recent.iter().any(|(recent_id, _)| recent_id == id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_is_decoded_from_its_encoding() {
        for topic in [
            Topic::Jobs,
            Topic::Stops,
            Topic::Session(SessionId::generate()),
            Topic::Chatroom(ChatroomId::generate()),
            Topic::Account(UserId::generate()),
            Topic::Chatrooms(UserId::generate()),
        ] {
            assert_eq!(decode(&encode(topic)), Some(topic));
        }
        assert_eq!(decode("something"), None);
    }
}
