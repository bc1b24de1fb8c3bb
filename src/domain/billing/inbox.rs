//! Storing events that come in a crowd: those that wait together are stored together, in one transaction, so that none
//! waits for a disk of its own.

use std::sync::{Arc, Mutex, PoisonError};

use entity::stripe_event;
use tokio::sync::{
    OwnedMutexGuard,
    oneshot::{self, error::TryRecvError},
};
use tokio_util::task::TaskTracker;

use crate::{
    error::{Error, Result},
    store::{Db, stripe_events},
};

/// More than these take the next turn. A file is waited for each time; a server stores some while others come in.
const MOST_TOGETHER: (usize, usize) = (1000, 250);

/// Events on their way into the database. Clones are one.
#[derive(Clone, Default)]
pub struct Inbox {
    waiting: Arc<Mutex<Vec<Arrival>>>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

struct Arrival {
    event: stripe_event::Model,
    stored: oneshot::Sender<()>,
}

impl Inbox {
    /// Stores an event and its job; nothing if the event is known. Whoever is first stores for all who have come since, and
    /// is told that there are jobs once nobody waits: work on them would stand in the way.
    pub(super) async fn put(&self, db: &Db, tasks: &TaskTracker, event: stripe_event::Model) -> Result<bool> {
        let (stored, mut outcome) = oneshot::channel();
        self.waiting().push(Arrival { event, stored });
        let mut led = false;
        loop {
            let turn = tokio::select! {
                biased;
                done = &mut outcome => return done.map(|()| led).map_err(|_| not_stored()),
                turn = self.turn.clone().lock_owned() => turn,
            };
            // Whoever had the turn before may have stored it.
            match outcome.try_recv() {
                Ok(()) => return Ok(led),
                Err(TryRecvError::Closed) => return Err(not_stored()),
                Err(TryRecvError::Empty) => {}
            }
            // To its end, though whoever asked for it may hang up: others wait for it, too.
            let storing = tasks.spawn(self.clone().store_waiting(db.clone(), turn));
            storing.await.unwrap_or_else(|_| Err(not_stored()))?;
            led = self.waiting().is_empty();
        }
    }

    async fn store_waiting(self, db: Db, _turn: OwnedMutexGuard<()>) -> Result<()> {
        let (events, waiting): (Vec<_>, Vec<_>) = {
            let mut waiting = self.waiting();
            let most = if db.is_exclusive() { MOST_TOGETHER.0 } else { MOST_TOGETHER.1 };
            let together = waiting.len().min(most);
            waiting.drain(..together).map(|one| (one.event, one.stored)).unzip()
        };
        db.again(|| store(&db, &events)).await?;
        for one in waiting {
            // Who has hung up does not want to know.
            let _ = one.send(());
        }
        Ok(())
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arrival>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_stored() -> Error {
    anyhow::anyhow!("the events that waited together were not stored").into()
}

async fn store(db: &Db, events: &[stripe_event::Model]) -> Result<()> {
    let now = events.first().map(|event| event.received_at).unwrap_or_default();
    Ok(stripe_events::insert_new(db, events, now).await?)
}
