//! `pollux admin`: shows and changes single users and jobs while servers run.

use std::{fs, os::unix::fs::MetadataExt};

use anyhow::{anyhow, bail};
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use clap::{Args, Subcommand};
use entity::{JobId, UserId};
use pollux::{
    app::operator,
    config::Config,
    domain::{
        admin::{Admin, Author},
        auth::PhoneNumber,
    },
    error::Error,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::table;

#[derive(Args)]
pub struct AdminArguments {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Args)]
struct Reason {
    /// Why, for the audit log: 1 to 500 characters
    #[arg(long)]
    reason: String,
}

#[derive(Args)]
struct Change {
    /// The user's id, or phone number such as +14155550123
    user: String,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Show a user: tier, usage, sessions and jobs
    User {
        /// The user's id, or phone number such as +14155550123
        user: String,
    },
    /// Grant Pro until a date, whatever the user's subscription is
    GrantPro {
        #[command(flatten)]
        change: Change,
        /// The date at whose end (UTC) Pro ends, or a time, such as 2027-01-31 or 2027-01-31T12:00:00Z
        #[arg(long, value_parser = parse_until)]
        until: DateTime<Utc>,
    },
    /// End the granted Pro; a subscription is not affected
    EndPro(Change),
    /// Set the prompts that a user has used today to 0
    ResetQuota(Change),
    /// End all sessions of a user and reject further sign-ins
    Block(Change),
    /// Allow a blocked user to sign in
    Unblock(Change),
    /// End all sessions of a user
    RevokeSessions(Change),
    /// Delete a user's account and everything that belongs to it
    Erase {
        #[command(flatten)]
        change: Change,
        /// Confirm, because this cannot be undone
        #[arg(long)]
        yes: bool,
    },
    /// List jobs that have failed, whose worker has died, or that have been due for five minutes
    Jobs {
        /// Maximum number of jobs
        #[arg(long, default_value = "50", value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
    /// Make a job due now, and reset the count of its retries
    RetryJob {
        job: JobId,
        #[command(flatten)]
        reason: Reason,
    },
    /// Delete a job; the reply that it would write fails and is refunded
    DropJob {
        job: JobId,
        #[command(flatten)]
        reason: Reason,
    },
    /// Show the job queue by kind of job
    Queue,
    /// Show the numbers of users, messages and jobs
    Stats,
    /// List changes by operators, newest first
    Audit {
        /// List only changes that affect this user, given by id or phone number
        #[arg(long)]
        user: Option<String>,
        /// Maximum number of changes
        #[arg(long, default_value = "50", value_parser = clap::value_parser!(u64).range(1..=1000))]
        limit: u64,
    },
}

/// Parses a time. A date means the end of that day in UTC.
fn parse_until(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(day) = text.parse::<NaiveDate>() {
        let next = day.succ_opt().ok_or("is too late")?;
        return Ok(next.and_time(NaiveTime::MIN).and_utc());
    }
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.to_utc())
        .map_err(|_| "must be a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z".to_owned())
}

pub async fn run(config: Config, arguments: AdminArguments) -> anyhow::Result<()> {
    let (admin, _redis) = operator::admin(&config).await?;
    let result = execute(&admin, arguments.command).await;
    admin.db.close().await;
    table::print(&result.map_err(explain)?, arguments.json)
}

/// Turns an error into a sentence for the operator.
fn explain(error: anyhow::Error) -> anyhow::Error {
    match error.downcast::<Failure>() {
        Ok(Failure(Error::NotFound(what))) => anyhow!("there is no such {what}"),
        Ok(Failure(Error::BadInput { message, .. } | Error::Conflict(message))) => anyhow!(message),
        Ok(Failure(Error::Internal(cause))) => cause,
        Ok(Failure(other)) => anyhow!("{other:?}"),
        Err(error) => error,
    }
}

/// Wraps an error of a use case, because [`Error`] has no `Display`, which `anyhow` requires.
#[derive(Debug)]
struct Failure(Error);

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl std::error::Error for Failure {}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

async fn execute(admin: &Admin, command: AdminCommand) -> anyhow::Result<Value> {
    Ok(match command {
        AdminCommand::User { user } => {
            serde_json::to_value(admin.user(find_user(admin, &user).await?).await.map_err(Failure)?)?
        }
        AdminCommand::GrantPro { change, until } => {
            let (author, user) = author_and_user(admin, &change).await?;
            let until = admin.grant_pro(&author, user, Some(until)).await.map_err(Failure)?;
            json!({"user": user, "proUntil": until})
        }
        AdminCommand::EndPro(change) => {
            let (author, user) = author_and_user(admin, &change).await?;
            let until = admin.grant_pro(&author, user, None).await.map_err(Failure)?;
            json!({"user": user, "proUntil": until})
        }
        AdminCommand::ResetQuota(change) => {
            let (author, user) = author_and_user(admin, &change).await?;
            admin.reset_quota(&author, user).await.map_err(Failure)?;
            json!({"user": user, "promptsUsedToday": 0})
        }
        AdminCommand::Block(change) => {
            let (author, user) = author_and_user(admin, &change).await?;
            let ended = admin.block(&author, user).await.map_err(Failure)?;
            json!({"user": user, "blocked": true, "sessionsEnded": ended})
        }
        AdminCommand::Unblock(change) => {
            let (author, user) = author_and_user(admin, &change).await?;
            admin.unblock(&author, user).await.map_err(Failure)?;
            json!({"user": user, "blocked": false})
        }
        AdminCommand::RevokeSessions(change) => {
            let (author, user) = author_and_user(admin, &change).await?;
            let ended = admin.revoke_sessions(&author, user).await.map_err(Failure)?;
            json!({"user": user, "sessionsEnded": ended})
        }
        AdminCommand::Erase { change, yes } => {
            if !yes {
                bail!("erasing a user cannot be undone: add --yes to confirm");
            }
            let (author, user) = author_and_user(admin, &change).await?;
            let ended = admin.erase(&author, user).await.map_err(Failure)?;
            json!({"user": user, "erased": true, "sessionsEnded": ended})
        }
        AdminCommand::Jobs { limit } => {
            serde_json::to_value(admin.troubled_jobs(limit).await.map_err(Failure)?)?
        }
        AdminCommand::RetryJob { job, reason } => {
            admin.retry_job(&author(&reason)?, job).await.map_err(Failure)?;
            json!({"job": job, "state": "due"})
        }
        AdminCommand::DropJob { job, reason } => {
            admin.drop_job(&author(&reason)?, job).await.map_err(Failure)?;
            json!({"job": job, "state": "dropped"})
        }
        AdminCommand::Queue => serde_json::to_value(admin.queue().await.map_err(Failure)?)?,
        AdminCommand::Stats => {
            let stats = admin.stats().await.map_err(Failure)?;
            Value::Object(stats.into_iter().map(|(name, count)| (name.to_owned(), count.into())).collect())
        }
        AdminCommand::Audit { user, limit } => {
            let user = match user {
                Some(user) => Some(find_user(admin, &user).await?),
                None => None,
            };
            serde_json::to_value(admin.actions(user, limit).await.map_err(Failure)?)?
        }
    })
}

/// The author of a change, and the user whom it affects.
async fn author_and_user(admin: &Admin, change: &Change) -> anyhow::Result<(Author, UserId)> {
    Ok((author(&change.reason)?, find_user(admin, &change.user).await?))
}

fn author(reason: &Reason) -> anyhow::Result<Author> {
    Ok(Author::new(operator_name(), &reason.reason).map_err(Failure)?)
}

/// The id of a user, given as an id of the API, as a UUID of the database, or as a phone number.
async fn find_user(admin: &Admin, text: &str) -> anyhow::Result<UserId> {
    if let Ok(id) = text.parse::<UserId>() {
        return Ok(id);
    }
    if let Ok(id) = text.parse::<Uuid>() {
        return Ok(UserId(id));
    }
    let number: PhoneNumber = text.parse().map_err(|_| {
        anyhow!("`{text}` is neither the id of a user nor a phone number such as +14155550123")
    })?;
    Ok(admin.find(&number).await.map_err(Failure)?)
}

/// The name of the operating system's user who runs this process. For root, the name includes `SUDO_USER`, which sudo sets. For
/// other users, it is ignored, because they could set it to any name.
fn operator_name() -> String {
    let uid = fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    });
    let name = name.unwrap_or_else(|| format!("uid {uid}"));
    match std::env::var("SUDO_USER") {
        Ok(sudo_user) if uid == 0 => format!("{name} (sudo: {sudo_user})"),
        _ => name,
    }
}
