//! Storing events that come in a crowd: those that wait together are stored together, so that none waits for a disk of its
//! own.

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

/// More than these take the next turn: some are answered while others are stored.
const MOST_TOGETHER: usize = 250;

const GATHERED_FOR: Duration = Duration::from_millis(2);

/// Events on their way into the database. Clones are one.
#[derive(Clone, Default)]
pub struct Inbox(Arc<Mutex<Waiting>>);

#[derive(Default)]
struct Waiting {
    arrivals: Vec<Arrival>,
    /// Whether somebody is storing, who sees to all that come meanwhile.
    is_seen_to: bool,
}

struct Arrival {
    event: stripe_event::Model,
    stored: oneshot::Sender<()>,
}

/// Who stores for all, and lets go of it whatever happens.
pub(super) struct Storing {
    inbox: Inbox,
    is_done: bool,
}

impl Inbox {
    /// Puts an event in. What comes back says when it is stored with its job, or was already, or that it could not be; and
    /// whoever finds that nobody is storing has to.
    pub(super) fn put(&self, event: stripe_event::Model) -> (oneshot::Receiver<()>, Option<Storing>) {
        let (stored, outcome) = oneshot::channel();
        let mut waiting = self.lock();
        waiting.arrivals.push(Arrival { event, stored });
        let is_seen_to = std::mem::replace(&mut waiting.is_seen_to, true);
        (outcome, (!is_seen_to).then(|| Storing { inbox: self.clone(), is_done: false }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storing {
    /// Stores until nobody waits.
    pub(super) async fn all(mut self, db: &Db) -> Result<()> {
        // So that the first of a crowd does not have the disk for itself while the others wait.
        tokio::time::sleep(GATHERED_FOR).await;
        loop {
            let (events, waiting): (Vec<_>, Vec<_>) = {
                let mut all = self.inbox.lock();
                let together = all.arrivals.len().min(MOST_TOGETHER);
                if together == 0 {
                    all.is_seen_to = false;
                    self.is_done = true;
                    return Ok(());
                }
                all.arrivals.drain(..together).map(|one| (one.event, one.stored)).unzip()
            };
            let now = events.first().map(|event| event.received_at).unwrap_or_default();
            db.with_retry(|| async { Ok(stripe_events::insert_new(db, &events, now).await?) }).await?;
            for one in waiting {
                // Who has hung up does not want to know.
                let _ = one.send(());
            }
        }
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        if !self.is_done {
            // Those who wait are told that nothing was stored, and the next to come stores.
            let mut all = self.inbox.lock();
            all.arrivals.clear();
            all.is_seen_to = false;
        }
    }
}
