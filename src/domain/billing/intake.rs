//! Event intake: stores webhook events that arrive at the same time in one transaction, so that a burst does not cost one
//! commit per event.
//!
//! ```text
//!  webhook ──► add ──────► pending ──► the writer takes a batch ──► one transaction ──► every webhook of the batch: 200
//! ```
//!
//! The first event that finds no writer starts one. The writer ends when nothing is pending.

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
    stored: oneshot::Sender<()>,
}

/// Stores the pending events. At most one exists at a time; dropping it allows the next, even after a panic.
pub(super) struct Writer {
    intake: EventIntake,
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
            let now = events.first().map(|event| event.received_at).unwrap_or_default();
            db.with_retry(|| async { Ok(stripe_events::insert_new(db, &events, now).await?) }).await?;
            for sender in senders {
                // The receiver is gone if its client has disconnected.
                let _ = sender.send(());
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.is_finished {
            // Dropping the senders makes the waiting webhooks fail; the next event starts another writer.
            let mut queue = self.intake.lock();
            queue.pending.clear();
            queue.has_writer = false;
        }
    }
}
