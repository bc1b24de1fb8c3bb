//! Group commit on SQLite: statements that arrive while the writer is busy are committed together, so that they wait for the disk
//! only once, and a page of the file that several of them change is written only once.
//!
//! ```text
//!  statement a ──┐
//!  statement b ──┼──► queue ──► BEGIN; a; b; c; COMMIT ──► the results of a, b and c
//!  statement c ──┘                        │
//!                                         └── one of them fails: ROLLBACK, then each runs in its own transaction
//! ```
//!
//! A caller gets its result after the commit. So a change whose success was reported survives a power cut, as it would with a
//! commit of its own.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use sea_orm::{ConnAcquireErr, DbErr, Statement};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{
    checkout::{Checkout, Executed},
    pool::ConnectionPool,
};

/// Maximum number of requests in one commit. It is limited because the first of them waits until the last has run.
const MAX_GROUP: usize = 32;

/// Runs statements on the writer, in groups. Clones share the queue.
#[derive(Clone)]
pub(super) struct GroupCommit {
    queue: mpsc::UnboundedSender<Request>,
}

struct Request {
    statement: Statement,
    queued_at: Instant,
    result: oneshot::Sender<Result<Executed, DbErr>>,
}

impl GroupCommit {
    /// Starts a task that ends when the last clone is dropped.
    #[expect(
        clippy::disallowed_methods,
        reason = "closing the pool waits for the connection that the task uses; nothing else has to be waited for"
    )]
    pub(super) fn start(writer: ConnectionPool) -> Self {
        let (queue, requests) = mpsc::unbounded_channel();
        tokio::spawn(run(requests, writer));
        Self { queue }
    }

    /// Runs a statement, or several that share their parameters, in a transaction. If the caller is cancelled, the statement may
    /// or may not be committed.
    pub(super) async fn execute(&self, statement: Statement) -> Result<Executed, DbErr> {
        let (sender, result) = oneshot::channel();
        let request = Request { statement, queued_at: Instant::now(), result: sender };
        self.queue.send(request).map_err(|_| closed())?;
        result.await.map_err(|_| closed())?
    }
}

fn closed() -> DbErr {
    DbErr::ConnectionAcquire(ConnAcquireErr::ConnectionClosed)
}

async fn run(mut queue: mpsc::UnboundedReceiver<Request>, writer: ConnectionPool) {
    let mut requests = Vec::new();
    while !requests.is_empty() || queue.recv_many(&mut requests, MAX_GROUP).await > 0 {
        let checkout = writer.acquire().await;
        while let Ok(request) = queue.try_recv() {
            requests.push(request);
        }
        match checkout {
            Ok(checkout) => {
                let group = requests.drain(..requests.len().min(MAX_GROUP)).collect();
                // A panic fails the requests of the group only.
                if AssertUnwindSafe(run_group(&writer, checkout, group)).catch_unwind().await.is_err() {
                    tracing::error!("a group of statements panicked");
                }
            }
            Err(error @ DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)) => {
                for request in requests.extract_if(.., |request| request.is_late(&writer)) {
                    request.respond(Err(error.clone()));
                }
            }
            Err(error) => requests.drain(..).for_each(|request| request.respond(Err(error.clone()))),
        }
    }
}

async fn run_group(writer: &ConnectionPool, mut checkout: Checkout, group: Vec<Request>) {
    let requests: Vec<Request> =
        group.into_iter().filter_map(|request| request.unless_expired(writer)).collect();
    if requests.is_empty() {
        return checkout.keep();
    }
    match execute_all(&mut checkout, &requests).await {
        Ok(executed) => {
            checkout.keep();
            requests.into_iter().zip(executed).for_each(|(request, executed)| request.respond(Ok(executed)));
        }
        Err(error) => {
            // The connection returns to sqlx's pool, which rolls the transaction back.
            drop(checkout);
            let ran_alone = requests.len() == 1;
            for request in requests {
                if ran_alone {
                    request.respond(Err(error.clone()));
                } else if let Some(request) = request.unless_expired(writer) {
                    let executed = execute_alone(writer, &request).await;
                    request.respond(executed);
                }
            }
        }
    }
}

/// Runs the statements of all requests in one transaction.
async fn execute_all(checkout: &mut Checkout, requests: &[Request]) -> Result<Vec<Executed>, DbErr> {
    let mut executed = Vec::with_capacity(requests.len());
    for (index, request) in requests.iter().enumerate() {
        let (begins, commits) = (index == 0, index + 1 == requests.len());
        executed.push(checkout.execute_part(&request.statement, begins, commits).await?);
    }
    Ok(executed)
}

async fn execute_alone(writer: &ConnectionPool, request: &Request) -> Result<Executed, DbErr> {
    let mut checkout = writer.acquire().await?;
    let executed = checkout.execute_part(&request.statement, true, true).await?;
    checkout.keep();
    Ok(executed)
}

impl Request {
    /// Returns none if the statement is not to be run, because its caller was cancelled or it has waited for too long.
    fn unless_expired(self, writer: &ConnectionPool) -> Option<Self> {
        if self.result.is_closed() {
            return None;
        }
        if self.is_late(writer) {
            self.respond(Err(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)));
            return None;
        }
        Some(self)
    }

    fn is_late(&self, writer: &ConnectionPool) -> bool {
        self.queued_at.elapsed() >= writer.acquire_timeout()
    }

    /// Sends the result to the caller, unless the caller was cancelled.
    fn respond(self, result: Result<Executed, DbErr>) {
        let _ = self.result.send(result);
    }
}
