//! When a request's batches are loaded: as soon as its resolvers wait for them.
//!
//! async-graphql's loader would wait for a millisecond, so that more resolvers can add their keys to a batch. Here, a batch is held
//! until each resolver has run as far as it can. Its keys are then complete.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context as TaskContext, Poll, Wake, Waker},
    time::Duration,
};

use async_graphql::dataloader::DataLoader;
use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered, task::AtomicWaker};

/// The batches that one request's resolvers wait for and that have not been started.
#[derive(Default)]
pub(super) struct Batching {
    held: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

impl Batching {
    /// A loader whose batches are loaded by [`run`](Self::run).
    pub fn loader<L>(&self, loads: L) -> DataLoader<L> {
        let held = self.held.clone();
        let hold = move |batch| held.lock().unwrap_or_else(PoisonError::into_inner).push(batch);
        // A delay of zero ends at once only without async-graphql's feature `tokio-timer`: Tokio rounds it up to a millisecond.
        DataLoader::new(loads, hold).delay(Duration::ZERO)
    }

    /// Runs an execution and the batches that its resolvers wait for.
    pub async fn run<T>(self, execution: impl Future<Output = T>) -> T {
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let mut execution = pin!(execution);
        let mut started = FuturesUnordered::new();
        poll_fn(|cx| {
            wakes.task.register(cx.waker());
            loop {
                wakes.is_woken.store(false, Relaxed);
                if let Poll::Ready(executed) = execution.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
                    return Poll::Ready(executed);
                }
                // With many resolvers, async-graphql polls only some of them, and wakes the task to poll the others.
                if wakes.is_woken.load(Relaxed) {
                    return Poll::Pending;
                }
                started.extend(self.held.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
                // When a batch has been loaded, the resolvers that waited for it continue.
                if !matches!(started.poll_next_unpin(cx), Poll::Ready(Some(()))) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// Wakes the task of an execution, and remembers that it did.
#[derive(Default)]
struct Wakes {
    task: AtomicWaker,
    is_woken: AtomicBool,
}

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Relaxed);
        self.task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use async_graphql::{
        Context, EmptyMutation, EmptySubscription, Object, Request, Schema, dataloader::Loader,
    };

    use super::*;

    /// The keys of each batch.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<BTreeSet<i32>>>>);

    impl Loader<i32> for Log {
        type Value = i32;
        type Error = &'static str;

        async fn load(&self, keys: &[i32]) -> Result<HashMap<i32, i32>, &'static str> {
            self.0.lock().unwrap().push(keys.iter().copied().collect());
            let mut has_yielded = false;
            poll_fn(|cx| {
                cx.waker().wake_by_ref();
                if std::mem::replace(&mut has_yielded, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            Ok(keys.iter().map(|key| (*key, key * 10)).collect())
        }
    }

    struct Node(i32);

    #[Object]
    impl Node {
        async fn number(&self) -> i32 {
            self.0
        }

        async fn next(&self, ctx: &Context<'_>) -> async_graphql::Result<Option<Node>> {
            Ok(ctx.data_unchecked::<DataLoader<Log>>().load_one(self.0).await?.map(Node))
        }
    }

    struct Query;

    #[Object]
    impl Query {
        async fn nodes(&self, count: i32) -> Vec<Node> {
            (1..=count).map(Node).collect()
        }
    }

    /// In a Tokio runtime, because async-graphql's loader would use its timers.
    #[tokio::test]
    async fn each_level_is_loaded_in_one_batch_without_waiting() {
        let schema = Schema::new(Query, EmptyMutation, EmptySubscription);
        let (log, batching) = (Log::default(), Batching::default());
        let query = "{ first: nodes(count: 2) { next { next { number } } } second: nodes(count: 50) { next { number } } }";
        let request = Request::new(query).data(batching.loader(log.clone()));

        let mut execution = pin!(batching.run(schema.execute(request)));
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(wakes.clone());
        let response = loop {
            if let Poll::Ready(response) = execution.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
                break response;
            }
            assert!(wakes.is_woken.swap(false, Relaxed), "waits for something else than its batches");
        };

        assert_eq!(response.errors, []);
        let data = response.data.into_json().unwrap();
        assert_eq!(
            data["first"],
            serde_json::json!([{ "next": { "next": { "number": 100 } } }, { "next": { "next": { "number": 200 } } }])
        );
        assert_eq!(data["second"][49], serde_json::json!({ "next": { "number": 500 } }));
        assert_eq!(*log.0.lock().unwrap(), [(1..=50).collect(), BTreeSet::from([10, 20])]);
    }
}
