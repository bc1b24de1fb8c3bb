//! Event intake: stores webhook events that arrive at the same time in one transaction, so that a burst does not cost one
//! commit per event.
//!
//! ```text
//!  webhook ──► add ──────► pending ──► the writer takes a batch ──► one transaction ──► every webhook of the batch: 200
//! ```
//!
//! An event that arrives while no writer is running starts one. The writer ends when no event is pending.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use entity::stripe_event;
use tokio::sync::oneshot;

use crate::{
    error::Result,
    store::{Db, stripe_events},
};

/// Maximum number of events per transaction. After each batch, its webhooks get their responses while the next one is stored.
const MAX_BATCH: usize = 250;

/// How long a new writer waits for further events.
const GATHER_TIME: Duration = Duration::from_millis(2);

/// Events that wait to be stored. Clones share one queue.
#[derive(Clone, Default)]
pub struct EventIntake(Arc<Mutex<Queue>>);

#[derive(Default)]
struct Queue {
    pending: Vec<PendingEvent>,
    /// Whether a writer is running. It also stores the events that arrive meanwhile.
    has_writer: bool,
}

struct PendingEvent {
    event: stripe_event::Model,
    /// Notifies the webhook that the event is stored.
    stored: oneshot::Sender<()>,
}

/// Stores the pending events. At most one writer exists at a time. Dropping it, even by a panic, allows the next event to start
/// another one.
pub(super) struct Writer {
    intake: EventIntake,
    /// Whether the writer has ended because no event was pending. Otherwise, it has failed when it is dropped.
    is_finished: bool,
}

impl EventIntake {
    /// Adds an event. The receiver resolves once the event and its job are stored (or were stored before), and fails if storing
    /// them fails. The caller must run the writer if one is returned.
    pub(super) fn add(&self, event: stripe_event::Model) -> (oneshot::Receiver<()>, Option<Writer>) {
        let (stored, receiver) = oneshot::channel();
        let mut queue = self.lock();
        queue.pending.push(PendingEvent { event, stored });
        let had_writer = std::mem::replace(&mut queue.has_writer, true);
        (receiver, (!had_writer).then(|| Writer { intake: self.clone(), is_finished: false }))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer {
    /// Stores batches until nothing is pending.
    pub(super) async fn run(mut self, db: &Db) -> Result<()> {
        // Without this delay, the first event of a burst would have its own transaction, and all others would wait for it.
        tokio::time::sleep(GATHER_TIME).await;
        loop {
            let (events, senders): (Vec<_>, Vec<_>) = {
                let mut queue = self.intake.lock();
                let size = queue.pending.len().min(MAX_BATCH);
                if size == 0 {
                    queue.has_writer = false;
                    self.is_finished = true;
                    return Ok(());
                }
                queue.pending.drain(..size).map(|pending| (pending.event, pending.stored)).unzip()
            };
            // The whole batch is stored with the time of its first event.
            let received_at = events.first().map(|event| event.received_at).unwrap_or_default();
            db.with_retry(|| async { Ok(stripe_events::insert_new(db, &events, received_at).await?) })
                .await?;
            for sender in senders {
                // This fails if the receiver was dropped because its client has disconnected.
                let _ = sender.send(());
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished {
            // Clearing the queue drops the senders, so that the waiting webhooks fail and Stripe sends their events later.
            let mut queue = self.intake.lock();
            queue.pending.clear();
            queue.has_writer = false;
        }
    }
}
