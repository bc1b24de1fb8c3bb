//! What every backend of a port must do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::TimeDelta;
use entity::{MessageId, UserId};
use futures_util::{FutureExt, StreamExt};
use pollux::{
    adapters::memory::{MemoryCache, MemoryRateLimit, MemoryReplyLog, MemorySignals},
    clock::Clock,
    ports::{
        cache::Cache,
        rate_limit::{Limit, RateLimit, Verdict},
        reply_log::{Announcement, AppendError, Cursor, Entry, ReplyLog},
        signals::{Signals, Topic},
    },
};

const TTL: Duration = Duration::from_mins(5);

struct Backend {
    clock: Clock,
    log: Arc<dyn ReplyLog>,
    signals: Arc<dyn Signals>,
    cache: Arc<dyn Cache>,
    limits: Arc<dyn RateLimit>,
}

fn memory() -> Backend {
    let clock = Clock::stopped("2026-11-21T12:00:00Z".parse().unwrap());
    Backend {
        log: Arc::new(MemoryReplyLog::new(clock.clone())),
        signals: Arc::new(MemorySignals::default()),
        cache: Arc::new(MemoryCache::new(TTL, clock.clone())),
        limits: Arc::new(MemoryRateLimit::new(clock.clone())),
        clock,
    }
}

fn entry(attempt: u32, offset: usize, text: &str) -> Entry {
    Entry { end: Cursor { attempt, offset }, text: text.to_owned() }
}

fn cursor(attempt: u32, offset: usize) -> Cursor {
    Cursor { attempt, offset }
}

/// What a reader that knows everything up to `after` gets: whether an attempt begins, and the text.
async fn read(log: &Arc<dyn ReplyLog>, reply: MessageId, after: Cursor) -> (bool, String) {
    let entries = log.read(reply, after).await.unwrap();
    let begins = entries.iter().any(|entry| entry.end.offset == 0);
    (begins, entries.into_iter().map(|entry| entry.text).collect())
}

#[tokio::test]
async fn a_log_is_read_from_any_cursor() {
    let log = memory().log;
    let reply = MessageId::generate();
    assert_eq!(read(&log, reply, Cursor::default()).await, (false, String::new()));
    for piece in [entry(1, 0, ""), entry(1, 5, "Hello"), entry(1, 13, ", wörld")] {
        log.append(reply, piece).await.unwrap();
    }
    assert_eq!(read(&log, reply, cursor(0, 0)).await, (true, "Hello, wörld".to_owned()));
    assert_eq!(read(&log, reply, cursor(1, 0)).await, (false, "Hello, wörld".to_owned()));
    assert_eq!(read(&log, reply, cursor(1, 5)).await, (false, ", wörld".to_owned()));
    assert_eq!(read(&log, reply, cursor(1, 13)).await, (false, String::new()));
    assert_eq!(read(&log, reply, cursor(2, 0)).await, (false, String::new()));
}

#[tokio::test]
async fn a_writer_of_an_old_attempt_is_refused() {
    let log = memory().log;
    let reply = MessageId::generate();
    log.append(reply, entry(1, 0, "")).await.unwrap();
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    assert!(matches!(log.append(reply, entry(1, 5, "Hello")).await, Err(AppendError::Fenced)));
    log.append(reply, entry(2, 0, "")).await.unwrap();
    assert!(matches!(log.append(reply, entry(1, 500, "late")).await, Err(AppendError::Fenced)));
    log.append(reply, entry(2, 2, "Hi")).await.unwrap();
    assert_eq!(read(&log, reply, cursor(1, 5)).await, (true, "Hi".to_owned()));
}

#[tokio::test]
async fn every_subscriber_hears_what_is_appended_after_it_attached() {
    let log = memory().log;
    let reply = MessageId::generate();
    log.append(reply, entry(1, 0, "")).await.unwrap();
    let (mut one, mut other) = (log.attach(reply).await.unwrap(), log.attach(reply).await.unwrap());
    log.append(MessageId::generate(), entry(1, 4, "else")).await.unwrap();
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    log.end(reply).await.unwrap();
    for subscriber in [&mut one, &mut other] {
        assert_eq!(subscriber.next().await, Some(Announcement::Appended(entry(1, 5, "Hello"))));
        assert_eq!(subscriber.next().await, Some(Announcement::Look));
    }
}

#[tokio::test]
async fn a_subscriber_that_falls_behind_is_told_to_look() {
    let log = memory().log;
    let reply = MessageId::generate();
    let mut slow = log.attach(reply).await.unwrap();
    for offset in 0..10_000 {
        log.append(reply, entry(1, offset + 1, "x")).await.unwrap();
    }
    let mut seen = 0;
    loop {
        match slow.next().await.unwrap() {
            Announcement::Look => break,
            Announcement::Appended(entry) => seen = entry.end.offset,
        }
    }
    let (_, rest) = read(&log, reply, cursor(1, seen)).await;
    assert_eq!(seen + rest.len(), 10_000, "nothing is lost to one who reads again");
}

#[tokio::test]
async fn a_log_expires_ten_minutes_after_its_end() {
    let Backend { log, clock, .. } = memory();
    let reply = MessageId::generate();
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    clock.advance(TimeDelta::hours(5));
    assert_eq!(read(&log, reply, cursor(0, 0)).await.1, "Hello", "not before its end");
    log.end(reply).await.unwrap();
    clock.advance(TimeDelta::seconds(599));
    assert_eq!(read(&log, reply, cursor(0, 0)).await.1, "Hello");
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(read(&log, reply, cursor(0, 0)).await.1, "");
}

#[tokio::test]
async fn hints_reach_those_who_listen_to_their_topic() {
    let signals = memory().signals;
    let (user, other) = (UserId::generate(), UserId::generate());
    let mut listeners = [
        signals.listen(Topic::Account(user)).await.unwrap(),
        signals.listen(Topic::Account(user)).await.unwrap(),
    ];
    let mut elsewhere = signals.listen(Topic::Account(other)).await.unwrap();
    signals.send(Topic::Account(user)).await.unwrap();
    signals.send(Topic::Jobs).await.unwrap();
    for listener in &mut listeners {
        assert_eq!(listener.next().await, Some(()));
    }
    assert_eq!(elsewhere.next().now_or_never(), None);
}

#[tokio::test]
async fn a_cached_value_is_loaded_once_until_it_expires() {
    let Backend { cache, clock, .. } = memory();
    let get = async |key: &str, value: &'static str| {
        cache.get_or_load(key, async move { Ok(Bytes::from_static(value.as_bytes())) }.boxed()).await.unwrap()
    };
    assert_eq!(get("a", "first").await, "first");
    assert_eq!(get("a", "second").await, "first");
    assert_eq!(get("b", "other").await, "other");
    clock.advance(TimeDelta::seconds(299));
    assert_eq!(get("a", "second").await, "first");
    clock.advance(TimeDelta::seconds(1));
    assert_eq!(get("a", "second").await, "second");
}

#[tokio::test]
async fn a_failed_load_is_told_and_not_kept() {
    let cache = memory().cache;
    let failed = cache.get_or_load("a", async { anyhow::bail!("no") }.boxed()).await;
    assert_eq!(failed.unwrap_err().to_string(), "no");
    let loaded = cache.get_or_load("a", async { Ok(Bytes::from_static(b"yes")) }.boxed()).await;
    assert_eq!(loaded.unwrap(), "yes");
}

#[tokio::test]
async fn a_limit_holds_over_every_window() {
    let Backend { limits, clock, .. } = memory();
    let limit = [Limit { key: "k".to_owned(), max: 2, window: Duration::from_secs(10) }];
    let take = async || limits.take(&limit).await.unwrap();
    let refused = |seconds| Verdict::Refused { retry_after: Duration::from_secs(seconds) };
    assert_eq!(take().await, Verdict::Allowed { remaining: 1 });
    clock.advance(TimeDelta::seconds(6));
    assert_eq!(take().await, Verdict::Allowed { remaining: 0 });
    assert_eq!(take().await, refused(4));
    clock.advance(TimeDelta::seconds(4));
    assert_eq!(take().await, Verdict::Allowed { remaining: 0 });
    assert_eq!(take().await, refused(6));
}

#[tokio::test]
async fn a_call_that_one_limit_refuses_counts_under_none() {
    let Backend { limits, clock, .. } = memory();
    let limit =
        |key: &str, max, window| Limit { key: key.to_owned(), max, window: Duration::from_secs(window) };
    let both = [limit("short", 1, 10), limit("long", 3, 1000)];
    for _ in 0..3 {
        assert!(matches!(limits.take(&both).await.unwrap(), Verdict::Allowed { .. }));
        for _ in 0..5 {
            assert!(matches!(limits.take(&both).await.unwrap(), Verdict::Refused { .. }));
        }
        clock.advance(TimeDelta::seconds(10));
    }
    let Verdict::Refused { retry_after } = limits.take(&both).await.unwrap() else { panic!("a fourth") };
    assert_eq!(retry_after, Duration::from_secs(970));
}
