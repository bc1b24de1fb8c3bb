//! What operators do with the command `pollux admin`, a process of its own that uses the database of running servers.
//!
//! ```text
//!  command ──► one transaction: the change and its audit row, which contains the signals
//!                ├─ with Redis: the command publishes the signals ──► Redis ──► every server
//!                └─ without Redis: the relay of the server finds the row and publishes its signals
//! ```
//!
//! A server without Redis does not receive the signals of another process. It therefore looks for new audit rows twice a
//! second, and publishes their signals itself ([`relay`]).

mod jobs;
pub mod relay;
mod report;
mod users;

use std::sync::Arc;

use entity::{Timestamp, UserId, admin_action};
use sea_orm::prelude::Uuid;
use serde::Serialize;

use crate::{
    clock::Clock,
    domain::{publish::publish, quota::Quota},
    error::{Error, Result},
    ports::signals::{Signals, Topic},
    store::{Db, Transaction, admin},
};

pub use report::{JobReport, UserReport};

/// The maximum length of a reason, in characters.
const MAX_REASON: usize = 500;

/// The use cases of an operator.
#[derive(Clone)]
pub struct Admin {
    pub db: Db,
    pub clock: Clock,
    /// None without Redis: this process cannot send signals to the server then, and the server's relay publishes them.
    pub signals: Option<Arc<dyn Signals>>,
    pub quota: Quota,
}

/// Who makes a change, and why.
#[derive(Clone, Debug)]
pub struct Author {
    name: String,
    reason: String,
}

impl Author {
    /// # Errors
    /// [`Error::BadInput`] if the reason is blank, is too long or contains U+0000.
    pub fn new(name: String, reason: &str) -> Result<Self> {
        let reason = reason.trim();
        if reason.is_empty() || reason.chars().count() > MAX_REASON || reason.contains('\0') {
            let message = format!("reason must be 1 to {MAX_REASON} characters.");
            return Err(Error::bad_input("reason", message));
        }
        Ok(Self { name, reason: reason.to_owned() })
    }
}

/// A change that an operator made, as the audit log records it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    pub at: Timestamp,
    pub actor: String,
    pub action: String,
    pub user: Option<UserId>,
    pub subject: Option<String>,
    pub reason: String,
}

impl From<admin_action::Model> for Action {
    fn from(row: admin_action::Model) -> Self {
        let admin_action::Model { at, actor, action, user_id, subject, reason, .. } = row;
        Self { at, actor, action, user: user_id, subject, reason }
    }
}

impl Admin {
    /// The newest changes by operators. With `user`, only those that concern this user.
    pub async fn actions(&self, user: Option<UserId>, limit: u64) -> Result<Vec<Action>> {
        let rows = admin::actions(self.db.read(), user, limit).await?;
        Ok(rows.into_iter().map(Action::from).collect())
    }

    /// Inserts the audit row of a change, in the transaction that makes the change. The row contains `topics`, for which the
    /// relay publishes signals.
    async fn record(
        &self,
        tx: &Transaction,
        author: &Author,
        action: &str,
        user: Option<UserId>,
        subject: Option<String>,
        topics: &[Topic],
    ) -> Result<()> {
        let signals: Vec<String> = topics.iter().map(|&topic| relay::encode(topic)).collect();
        let row = admin_action::Model {
            id: Uuid::now_v7(),
            at: self.clock.now(),
            actor: author.name.clone(),
            action: action.to_owned(),
            user_id: user,
            subject,
            reason: author.reason.clone(),
            signals: signals.join(" "),
        };
        Ok(admin::insert_action(tx, row).await?)
    }

    /// Publishes the signals of a change. Call it after the commit.
    async fn signal(&self, topics: &[Topic]) {
        if let Some(signals) = &self.signals {
            publish(&**signals, topics).await;
        }
    }
}
