//! Account deletion: removes the profile at once; a job erases the remaining data.

use entity::{UserId, job};

use super::{Auth, Viewer};
use crate::{
    error::Result,
    store::{commit, jobs, sessions, users},
};

/// The kind of the jobs that erase a deleted account.
pub const ERASE_ACCOUNT: &str = "erase_account";

impl Auth {
    /// Deletes the viewer's account: removes the profile, frees the phone number, ends all sessions and creates the job that
    /// erases the remaining data. A second call creates no second job.
    pub async fn delete_account(&self, viewer: Viewer) -> Result<UserId> {
        let ended = self
            .db
            .with_retry(|| async {
                let tx = self.db.begin().await?;
                let now = self.clock.now();
                if users::anonymize(&tx, viewer.user, now).await? {
                    let erasure = job::Model { user_id: Some(viewer.user), ..jobs::new(ERASE_ACCOUNT, now) };
                    jobs::insert(&tx, erasure).await?;
                }
                let ended = sessions::end_all_owned_by(&tx, viewer.user).await?;
                commit(tx).await?;
                Ok(ended)
            })
            .await?;
        self.signal_ended_sessions(&ended).await;
        self.signal_new_job().await;
        Ok(viewer.user)
    }
}
