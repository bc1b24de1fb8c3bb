//! Ending an account: at once for its owner, and in a job for everything in it.

use entity::UserId;

use super::{Auth, Viewer};
use crate::{
    error::Result,
    store::{commit, jobs, sessions, users},
};

impl Auth {
    /// Ends the viewer's account: all sessions end, the number is free, and a job erases the rest. A second call does
    /// nothing more.
    pub async fn delete_account(&self, viewer: Viewer) -> Result<UserId> {
        let ended = self
            .db
            .again(|| async {
                let tx = self.db.begin().await?;
                let now = self.clock.now();
                if users::forget(&tx, viewer.user, now).await? {
                    jobs::insert(&tx, jobs::erasure(viewer.user, now)).await?;
                }
                let ended = sessions::end_all_owned_by(&tx, viewer.user).await?;
                commit(tx).await?;
                Ok(ended)
            })
            .await?;
        self.tell_all_ended(&ended).await;
        self.tell_of_a_job().await;
        Ok(viewer.user)
    }
}
