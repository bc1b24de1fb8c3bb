//! Storing events that come in a crowd: those that wait together are stored together, in one transaction, so that none
//! waits for a disk of its own.

use std::sync::{Arc, Mutex, PoisonError};

use entity::{JobId, Timestamp, job, stripe_event};
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use crate::{
    error::{Error, Result},
    store::{Db, commit, jobs, stripe_events},
};

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
    /// Stores an event and its job; nothing if the event is known. Whoever is first stores for all who have come since.
    pub(super) async fn put(&self, db: &Db, tasks: &TaskTracker, event: stripe_event::Model) -> Result<()> {
        let (stored, mut outcome) = oneshot::channel();
        self.waiting().push(Arrival { event, stored });
        let turn = self.turn.clone().lock_owned().await;
        match outcome.try_recv() {
            Ok(()) => return Ok(()),
            Err(oneshot::error::TryRecvError::Closed) => return Err(not_stored()),
            Err(oneshot::error::TryRecvError::Empty) => {}
        }
        let (inbox, db) = (self.clone(), db.clone());
        // To its end, though whoever asked for it may hang up: others wait for it, too.
        let storing = tasks.spawn(async move {
            let _turn = turn;
            let (events, waiting): (Vec<_>, Vec<_>) =
                std::mem::take(&mut *inbox.waiting()).into_iter().map(|one| (one.event, one.stored)).unzip();
            db.again(|| store(&db, &events)).await?;
            for one in waiting {
                // Who has hung up does not want to know.
                let _ = one.send(());
            }
            Ok(())
        });
        storing.await.unwrap_or_else(|_| Err(not_stored()))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Arrival>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn not_stored() -> Error {
    anyhow::anyhow!("the events that waited together were not stored").into()
}

async fn store(db: &Db, events: &[stripe_event::Model]) -> Result<()> {
    let tx = db.begin().await?;
    let new = stripe_events::insert_new(&tx, events.iter().cloned()).await?;
    let now = events.first().map(|event| event.received_at).unwrap_or_default();
    jobs::insert_for_events(&tx, new.into_iter().map(|event| job_for(event, now))).await?;
    Ok(commit(tx).await?)
}

pub(super) fn job_for(event: String, now: Timestamp) -> job::Model {
    job::Model {
        id: JobId::generate(),
        kind: job::Kind::StripeEvent,
        user_id: None,
        chatroom_id: None,
        message_id: None,
        stripe_event_id: Some(event),
        position: 0,
        run_at: now,
        attempt: 0,
        failures: 0,
        leased_until: None,
        stop_requested: false,
        created_at: now,
    }
}
