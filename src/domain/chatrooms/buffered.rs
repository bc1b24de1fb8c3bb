//! A stream that runs in its own task, with a bounded buffer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How many items are buffered before the stream has to wait for its consumer.
const CAPACITY: usize = 4;

/// Runs `stream` in its own task. A slow consumer then suspends the task only between two items, never while the stream holds a
/// database connection that others wait for. Dropping the returned stream aborts the task.
pub(super) fn buffered<T: Send + 'static>(
    tasks: &TaskTracker,
    stream: impl Stream<Item = T> + Send + 'static,
) -> Buffered<T> {
    let (sender, items) = mpsc::channel(CAPACITY);
    let task = tasks.spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(item) = stream.next().await {
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    Buffered { items, _task: AbortOnDropHandle::new(task) }
}

pub(super) struct Buffered<T> {
    items: mpsc::Receiver<T>,
    _task: AbortOnDropHandle<()>,
}

impl<T> Stream for Buffered<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_recv(cx)
    }
}
