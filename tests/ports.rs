//! The contract suite of the reply log, signals, cache and rate limits: their adapters in memory and on Redis must pass it.

mod cache;

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use entity::{MessageId, UserId};
use futures_util::{FutureExt, StreamExt};
use pollux::{
    adapters::{
        memory::{MemoryCache, MemoryRateLimit, MemoryReplyLog, MemorySignals},
        redis::{Link, RedisCache, RedisRateLimit, RedisReplyLog, RedisSignals},
    },
    clock::Clock,
    ports::{
        cache::Cache,
        rate_limit::{Limit, RateLimit, Verdict},
        reply_log::{AppendError, Cursor, LogEntry, LogUpdate, ReplyLog},
        signals::{Signals, Topic},
    },
    telemetry::metrics::Counter,
};
use tempfile::TempDir;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::support::Backend;

const TTL: Duration = Duration::from_mins(5);

/// One adapter of each of these four ports: on Redis if the tests have servers, otherwise in memory.
struct Ports {
    log: Arc<dyn ReplyLog>,
    signals: Arc<dyn Signals>,
    cache: Arc<dyn Cache>,
    limits: Arc<dyn RateLimit>,
    clock: Clock,
    backend: Backend,
    _link: Option<AbortOnDropHandle<()>>,
    _directory: TempDir,
}

impl Ports {
    async fn open() -> Self {
        let now = "2026-11-21T12:00:00Z".parse().unwrap();
        let (clock, directory) = (Clock::stopped(now), TempDir::new().unwrap());
        let backend = Backend::create(directory.path()).await;
        let memory_cache = MemoryCache::new(TTL, clock.clone());
        let Some(url) = &backend.redis_url else {
            return Self {
                log: Arc::new(MemoryReplyLog::new(clock.clone())),
                signals: Arc::new(MemorySignals::default()),
                cache: Arc::new(memory_cache),
                limits: Arc::new(MemoryRateLimit::new(clock.clone())),
                clock,
                backend,
                _link: None,
                _directory: directory,
            };
        };
        let (link, handle) = Link::open(url, &TaskTracker::new(), Counter::default()).unwrap();
        link.connected().await;
        Self {
            log: Arc::new(RedisReplyLog::new(link.clone())),
            signals: Arc::new(RedisSignals::new(link.clone())),
            cache: Arc::new(RedisCache::new(link.clone(), memory_cache, TTL)),
            limits: Arc::new(RedisRateLimit::new(link)),
            clock,
            backend,
            _link: Some(handle),
            _directory: directory,
        }
    }

    async fn advance(&self, seconds: i64) {
        self.clock.advance(TimeDelta::seconds(seconds));
        self.backend.advance(TimeDelta::seconds(seconds)).await;
    }
}

fn round_up(time: Duration) -> Duration {
    Duration::from_secs(time.as_millis().div_ceil(1000).try_into().unwrap())
}

fn entry(attempt: u32, offset: usize, text: &str) -> LogEntry {
    LogEntry { end: Cursor { attempt, offset }, text: text.to_owned() }
}

fn cursor(attempt: u32, offset: usize) -> Cursor {
    Cursor { attempt, offset }
}

/// What a reader at the cursor `after` receives: whether the reply restarts, and the text.
async fn read(log: &Arc<dyn ReplyLog>, reply: MessageId, after: Cursor) -> (bool, String) {
    let entries = log.read(reply, after, usize::MAX).await.unwrap();
    let restarts = entries.iter().any(|entry| entry.end.offset == 0);
    (restarts, entries.into_iter().map(|entry| entry.text).collect())
}

#[tokio::test]
async fn a_log_can_be_read_from_any_cursor() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    assert_eq!(read(log, reply, Cursor::default()).await, (false, String::new()));
    for entry in [entry(1, 0, ""), entry(1, 5, "Hello"), entry(1, 13, ", wörld")] {
        log.append(reply, entry).await.unwrap();
    }
    assert_eq!(read(log, reply, cursor(0, 0)).await, (true, "Hello, wörld".to_owned()));
    assert_eq!(read(log, reply, cursor(1, 0)).await, (false, "Hello, wörld".to_owned()));
    assert_eq!(read(log, reply, cursor(1, 5)).await, (false, ", wörld".to_owned()));
    assert_eq!(read(log, reply, cursor(1, 13)).await, (false, String::new()));
    assert_eq!(read(log, reply, cursor(2, 0)).await, (false, String::new()));
}

#[tokio::test]
async fn a_long_log_is_read_in_parts() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    log.append(reply, entry(1, 0, "")).await.unwrap();
    for end in 1..=500 {
        log.append(reply, entry(1, end * 10, "0123456789")).await.unwrap();
    }
    let (mut position, mut text) = (Cursor::default(), String::new());
    loop {
        let entries = log.read(reply, position, 100).await.unwrap();
        let part: String = entries.iter().map(|entry| entry.text.as_str()).collect();
        assert!(part.len() < 1000, "{}", part.len());
        text += &part;
        let Some(last) = entries.last() else { break };
        position = last.end;
        assert!(part.len() >= 100 || position == cursor(1, 5000), "only the last part may be shorter");
    }
    assert_eq!(text, "0123456789".repeat(500));
}

#[tokio::test]
async fn an_append_by_an_old_attempt_is_fenced() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    log.append(reply, entry(1, 0, "")).await.unwrap();
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    log.append(reply, entry(2, 0, "")).await.unwrap();
    assert!(matches!(log.append(reply, entry(1, 500, "late")).await, Err(AppendError::Fenced)));
    log.append(reply, entry(2, 2, "Hi")).await.unwrap();
    assert_eq!(read(log, reply, cursor(1, 5)).await, (true, "Hi".to_owned()));
}

#[tokio::test]
async fn appends_are_idempotent_and_reject_gaps() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    let reported_end = async |entry: LogEntry| match log.append(reply, entry).await {
        Err(AppendError::NotAtEnd { end }) => end,
        result => panic!("{result:?}"),
    };
    assert_eq!(reported_end(entry(1, 12, ", world")).await, cursor(0, 0), "the log lost earlier text");
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    assert_eq!(reported_end(entry(1, 5, "Hello")).await, cursor(1, 5), "the entry has been appended already");
    assert_eq!(reported_end(entry(1, 0, "")).await, cursor(1, 5));
    assert_eq!(reported_end(entry(1, 19, "and more")).await, cursor(1, 5));
    log.append(reply, entry(1, 12, ", world")).await.unwrap();
    assert_eq!(reported_end(entry(2, 9, "more")).await, cursor(1, 12), "an attempt must begin at 0");
    assert_eq!(read(log, reply, cursor(0, 0)).await.1, "Hello, world");
}

#[tokio::test]
async fn a_fenced_append_is_not_published() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    log.append(reply, entry(2, 2, "Hi")).await.unwrap();
    let mut subscriber = log.subscribe(reply).await;
    assert!(log.append(reply, entry(1, 5, "Hello")).await.is_err());
    log.append(reply, entry(2, 4, "!!")).await.unwrap();
    assert_eq!(subscriber.next().await, Some(LogUpdate::Appended(entry(2, 4, "!!"))));
}

#[tokio::test]
async fn a_long_log_is_read_whole() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    let texts: Vec<String> = (0..2_500).map(|n| format!("{n} ")).collect();
    let mut end = 0;
    for text in &texts {
        end += text.len();
        log.append(reply, entry(1, end, text)).await.unwrap();
    }
    assert_eq!(read(log, reply, cursor(0, 0)).await.1, texts.concat());
    assert_eq!(read(log, reply, cursor(1, end - 5)).await.1, "2499 ");
}

#[tokio::test]
async fn every_subscriber_receives_entries_appended_after_it_subscribed() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    log.append(reply, entry(1, 0, "")).await.unwrap();
    let (mut first, mut second) = (log.subscribe(reply).await, log.subscribe(reply).await);
    log.append(MessageId::generate(), entry(1, 4, "else")).await.unwrap();
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    log.end(reply).await.unwrap();
    for subscriber in [&mut first, &mut second] {
        assert_eq!(subscriber.next().await, Some(LogUpdate::Appended(entry(1, 5, "Hello"))));
        assert_eq!(subscriber.next().await, Some(LogUpdate::Reread));
    }
}

#[tokio::test]
async fn a_lagging_subscriber_is_signalled_to_reread_the_log() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    let mut slow = log.subscribe(reply).await;
    for offset in 0..10_000 {
        log.append(reply, entry(1, offset + 1, "x")).await.unwrap();
    }
    let mut seen = 0;
    loop {
        match slow.next().await.unwrap() {
            LogUpdate::Reread => break,
            LogUpdate::Appended(entry) => seen = entry.end.offset,
        }
    }
    let (_, rest) = read(log, reply, cursor(1, seen)).await;
    assert_eq!(seen + rest.len(), 10_000, "rereading the log must return the rest");
}

#[tokio::test]
async fn a_log_expires_ten_minutes_after_its_end() {
    let ports = Ports::open().await;
    let log = &ports.log;
    let reply = MessageId::generate();
    log.append(reply, entry(1, 5, "Hello")).await.unwrap();
    ports.advance(5 * 3600).await;
    assert_eq!(read(log, reply, cursor(0, 0)).await.1, "Hello", "a log without an end is kept");
    log.end(reply).await.unwrap();
    ports.advance(599).await;
    assert_eq!(read(log, reply, cursor(0, 0)).await.1, "Hello");
    ports.advance(1).await;
    assert_eq!(read(log, reply, cursor(0, 0)).await.1, "");
}

#[tokio::test]
async fn signals_reach_the_subscribers_of_their_topic() {
    let ports = Ports::open().await;
    let signals = &ports.signals;
    let (user, other_user) = (UserId::generate(), UserId::generate());
    let mut subscribers =
        [signals.subscribe(Topic::Account(user)).await, signals.subscribe(Topic::Account(user)).await];
    let mut other_subscriber = signals.subscribe(Topic::Account(other_user)).await;
    signals.publish(&[Topic::Jobs, Topic::Account(user)]).await.unwrap();
    for subscriber in &mut subscribers {
        assert_eq!(subscriber.next().await, Some(()));
    }
    assert_eq!(other_subscriber.next().now_or_never(), None);
}

#[tokio::test]
async fn resubscribing_to_a_topic_does_not_disturb_others() {
    let ports = Ports::open().await;
    let topic = || Topic::Account(UserId::generate());
    let (busy, mut quiet) = (topic(), ports.signals.subscribe(topic()).await);
    for _ in 0..300 {
        drop(ports.signals.subscribe(busy).await);
        let mut resubscribed = ports.signals.subscribe(busy).await;
        ports.signals.publish(&[busy]).await.unwrap();
        assert_eq!(resubscribed.next().await, Some(()));
    }
    // If the connection had been lost, `quiet` would receive a signal, too.
    assert_eq!(quiet.next().now_or_never(), None);
}

#[tokio::test]
async fn a_rate_limit_holds_over_any_sliding_window() {
    let ports = Ports::open().await;
    let limits = &ports.limits;
    let limit = [Limit { key: "k".to_owned(), max: 2, window: Duration::from_secs(10) }];
    let take = async || match limits.take(&limit).await.unwrap() {
        // Redis uses its own clock, which cannot be stopped, so that a few milliseconds have passed.
        Verdict::Rejected { retry_after } => Verdict::Rejected { retry_after: round_up(retry_after) },
        allowed @ Verdict::Allowed { .. } => allowed,
    };
    let rejected = |seconds| Verdict::Rejected { retry_after: Duration::from_secs(seconds) };
    assert_eq!(take().await, Verdict::Allowed { remaining: 1 });
    ports.advance(6).await;
    assert_eq!(take().await, Verdict::Allowed { remaining: 0 });
    assert_eq!(take().await, rejected(4));
    ports.advance(4).await;
    assert_eq!(take().await, Verdict::Allowed { remaining: 0 });
    assert_eq!(take().await, rejected(6));
}

#[tokio::test]
async fn a_call_rejected_by_one_limit_counts_toward_none() {
    let ports = Ports::open().await;
    let limits = &ports.limits;
    let limit =
        |key: &str, max, window| Limit { key: key.to_owned(), max, window: Duration::from_secs(window) };
    let both = [limit("short", 1, 10), limit("long", 3, 1000)];
    for _ in 0..3 {
        assert!(matches!(limits.take(&both).await.unwrap(), Verdict::Allowed { .. }));
        for _ in 0..5 {
            assert!(matches!(limits.take(&both).await.unwrap(), Verdict::Rejected { .. }));
        }
        ports.advance(10).await;
    }
    let Verdict::Rejected { retry_after } = limits.take(&both).await.unwrap() else { panic!("not limited") };
    assert_eq!(round_up(retry_after), Duration::from_secs(970));
}
