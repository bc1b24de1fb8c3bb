//! Publishes the signals of operators' changes in a server that shares no signals with their commands.

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

/// How often new changes are looked for. A socket of a blocked user closes within a second.
const INTERVAL: Duration = Duration::from_millis(500);
/// How far back changes are looked for: longer than a transaction takes to commit, and than two clocks differ.
const WINDOW: TimeDelta = TimeDelta::minutes(1);

/// Precedes the id of the user whose list of chatrooms changed.
const LIST_PREFIX: &str = "list:";

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

/// None for a topic of a newer release.
fn decode(text: &str) -> Option<Topic> {
    match text {
        "jobs" => Some(Topic::Jobs),
        "stops" => Some(Topic::Stops),
        _ if let Some(user) = text.strip_prefix(LIST_PREFIX) => user.parse().map(Topic::Chatrooms).ok(),
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
        let found = match admin::signals_since(db.read(), clock.now() - WINDOW).await {
            Ok(found) => found,
            Err(error) => {
                tracing::debug!(%error, "failed to look for changes of operators");
                continue;
            }
        };
        for (id, encoded) in &found {
            if published.insert(*id) {
                let topics: Vec<Topic> = encoded.split_whitespace().filter_map(decode).collect();
                publish(signals, &topics).await;
            }
        }
        published.retain(|id| found.iter().any(|(found, _)| found == id));
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
        ] {
            assert_eq!(decode(&encode(topic)), Some(topic));
        }
        assert_eq!(decode("something"), None);
    }
}
