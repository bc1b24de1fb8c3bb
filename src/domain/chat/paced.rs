//! A stream that runs in a task of its own.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::{Stream, StreamExt};
use tokio::sync::mpsc;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Items that wait for whoever takes them before the stream waits, too.
const AHEAD: usize = 4;

/// Runs `stream` in a task, so that it never stands still in the middle of a step, holding a connection to the database
/// that others wait for, because whoever takes its items has something else to do. The task ends with what is returned.
pub(super) fn at_its_own_pace<T: Send + 'static>(
    tasks: &TaskTracker,
    stream: impl Stream<Item = T> + Send + 'static,
) -> Paced<T> {
    let (give, items) = mpsc::channel(AHEAD);
    let task = tasks.spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(item) = stream.next().await {
            if give.send(item).await.is_err() {
                return;
            }
        }
    });
    Paced { items, _task: AbortOnDropHandle::new(task) }
}

pub(super) struct Paced<T> {
    items: mpsc::Receiver<T>,
    _task: AbortOnDropHandle<()>,
}

impl<T> Stream for Paced<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.items.poll_recv(cx)
    }
}
