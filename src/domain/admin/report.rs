//! The reports that operators read about a user or a job. They contain no access or refresh token, no one-time password
//! and no text of a chatroom.

use entity::{JobId, MessageId, Timestamp, UserId, job, session, subscription};
use serde::Serialize;

use super::Admin;
use crate::{
    domain::billing::tiers::{Tier, tier},
    error::{Error, Result},
    store::{admin, blocked_users, sessions, subscriptions, usage, users},
};

/// The maximum number of jobs in a report of a user.
const MAX_JOBS: u64 = 100;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserReport {
    pub id: UserId,
    pub phone_number: String,
    pub email: Option<String>,
    pub full_name: Option<String>,
    pub created_at: Timestamp,
    pub blocked_at: Option<Timestamp>,
    pub tier: &'static str,
    pub pro_until: Option<Timestamp>,
    pub pro_granted_until: Option<Timestamp>,
    pub billing_state: Option<subscription::State>,
    pub stripe_customer: Option<String>,
    pub prompts_used_today: i32,
    /// The maximum number of prompts a day; none if unlimited.
    pub daily_limit: Option<i32>,
    /// Includes the tokens that are reserved for unfinished replies.
    pub tokens_used_today: i64,
    /// None if unlimited.
    pub daily_token_limit: Option<i64>,
    /// Includes the tokens that are reserved for unfinished replies.
    pub tokens_used_this_month: i64,
    /// None if unlimited.
    pub monthly_token_limit: Option<i64>,
    pub sessions: Vec<SessionReport>,
    pub jobs: Vec<JobReport>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionReport {
    pub id: String,
    pub user_agent: Option<String>,
    pub created_at: Timestamp,
    pub last_seen_at: Timestamp,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    pub id: JobId,
    pub kind: String,
    /// `running`, `due`, `scheduled` or `lease expired`.
    pub state: &'static str,
    pub failures: i32,
    pub attempt: i32,
    pub run_at: Timestamp,
    pub created_at: Timestamp,
    pub user: Option<UserId>,
    pub reply: Option<MessageId>,
    pub stripe_event: Option<String>,
}

impl JobReport {
    pub(super) fn new(job: job::Model, now: Timestamp) -> Self {
        let state = match job.leased_until {
            Some(until) if until > now => "running",
            Some(_) => "lease expired",
            None if job.run_at > now => "scheduled",
            None => "due",
        };
        Self {
            id: job.id,
            kind: job.kind,
            state,
            failures: job.failures,
            attempt: job.attempt,
            run_at: job.run_at,
            created_at: job.created_at,
            user: job.user_id,
            reply: job.message_id,
            stripe_event: job.stripe_event_id,
        }
    }
}

impl From<session::Model> for SessionReport {
    fn from(session: session::Model) -> Self {
        let session::Model { id, user_agent, created_at, last_seen_at, .. } = session;
        Self { id: id.to_string(), user_agent, created_at, last_seen_at }
    }
}

impl Admin {
    /// The report about a user.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn user(&self, id: UserId) -> Result<UserReport> {
        let (conn, now) = (self.db.read(), self.clock.now());
        let user = users::by_id(conn, id).await?.ok_or(Error::NotFound("user"))?;
        let billing = subscriptions::of_user(conn, id).await?;
        let tier = tier(billing.as_ref(), now);
        let usage = usage::since(conn, &[id], self.quota.history_from()).await?;
        let today = self.quota.history(id, &usage).pop();
        let [tokens_today, tokens_this_month] = self.quota.token_budgets(tier, &usage);
        let prompts_used_today = today.map_or(0, |today| today.used);
        let jobs = admin::jobs_of(conn, id, MAX_JOBS).await?;
        Ok(UserReport {
            id,
            phone_number: user.phone_number,
            email: user.email,
            full_name: user.full_name,
            created_at: user.created_at,
            blocked_at: blocked_users::blocked_at(conn, id).await?,
            tier: if tier == Tier::Pro { "PRO" } else { "BASIC" },
            pro_until: billing.as_ref().and_then(|billing| billing.pro_until),
            pro_granted_until: billing.as_ref().and_then(|billing| billing.granted_until),
            billing_state: billing.as_ref().map(|billing| billing.state),
            stripe_customer: billing.as_ref().and_then(|billing| billing.customer()).map(str::to_owned),
            prompts_used_today,
            daily_limit: self.quota.prompt_budget(tier, prompts_used_today).limit,
            tokens_used_today: tokens_today.used,
            daily_token_limit: tokens_today.limit,
            tokens_used_this_month: tokens_this_month.used,
            monthly_token_limit: tokens_this_month.limit,
            sessions: sessions::owned_by(conn, id, now).await?.into_iter().map(Into::into).collect(),
            jobs: jobs.into_iter().map(|job| JobReport::new(job, now)).collect(),
        })
    }
}
