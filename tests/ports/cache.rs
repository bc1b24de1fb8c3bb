//! The cache of both storages.

use bytes::Bytes;
use futures_util::{FutureExt, future::join_all};

use super::Ports;

#[tokio::test]
async fn a_recorded_version_is_never_lowered_and_expires() {
    let ports = Ports::open().await;
    for (seconds_later, recorded, expected) in [(0, 5, 5), (0, 4, 5), (4, 6, 6), (5, 4, 4)] {
        ports.advance(seconds_later).await;
        ports.cache.record_version("x", recorded).await;
        assert_eq!(ports.cache.version("x").await, Some(expected));
    }
}

#[tokio::test]
async fn concurrent_reads_of_versions_get_their_own_version_even_after_one_was_dropped() {
    let ports = Ports::open().await;
    let names: Vec<_> = (0..100).map(|number| format!("list {number}")).collect();
    for (name, version) in names.iter().zip(0..).skip(1) {
        ports.cache.record_version(name, version).await;
    }
    // Drops a read whose request is in flight, and one that waits.
    let mut dropped: Vec<_> = names[..2].iter().map(|name| ports.cache.version(name)).collect();
    for read in &mut dropped {
        let _ = read.now_or_never();
    }
    drop(dropped);
    let versions = join_all(names.iter().map(|name| ports.cache.version(name))).await;
    let expected: Vec<_> = (0..100).map(|version| (version > 0).then_some(version)).collect();
    assert_eq!(versions, expected);
}

#[tokio::test]
async fn a_cached_value_is_loaded_once_until_it_expires() {
    let ports = Ports::open().await;
    let cache = &ports.cache;
    let get = async |key: &str, value: &'static str| {
        cache.get_or_load(key, async move { Ok(Bytes::from_static(value.as_bytes())) }.boxed()).await.unwrap()
    };
    assert_eq!(get("a", "first").await, "first");
    assert_eq!(get("a", "second").await, "first");
    assert_eq!(get("b", "other").await, "other");
    ports.advance(299).await;
    assert_eq!(get("a", "second").await, "first");
    ports.advance(1).await;
    assert_eq!(get("a", "second").await, "second");
}

#[tokio::test]
async fn a_failed_load_is_returned_and_not_cached() {
    let ports = Ports::open().await;
    let cache = &ports.cache;
    let failed = cache.get_or_load("a", async { anyhow::bail!("no") }.boxed()).await;
    assert_eq!(failed.unwrap_err().to_string(), "no");
    let loaded = cache.get_or_load("a", async { Ok(Bytes::from_static(b"yes")) }.boxed()).await;
    assert_eq!(loaded.unwrap(), "yes");
}
