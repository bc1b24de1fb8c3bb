//! What a user may use and has used, as it changes.

use std::time::Duration;

use async_stream::try_stream;
use entity::{UserId, subscription};
use futures_util::{Stream, StreamExt};

use super::{Chat, Usage};
use crate::{error::Result, ports::signals::Topic, store::subscriptions};

/// For the hint that a killed process could not send, and for the day's end.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// An account's state.
#[derive(Clone, Debug)]
pub struct Account {
    /// None: never subscribed.
    pub subscription: Option<subscription::Model>,
    pub usage: Usage,
}

impl Account {
    /// As much of it as its owner sees.
    fn shown(&self) -> impl PartialEq + use<> {
        let subscription = self.subscription.as_ref().map(|subscription| {
            let ends = (subscription.current_period_end, subscription.cancel_at_period_end);
            (subscription.state, ends, subscription.pro_until)
        });
        (subscription, self.usage)
    }
}

impl Chat {
    /// The state now.
    pub async fn account(&self, user: UserId) -> Result<Account> {
        let subscription = subscriptions::of_user(self.db.read(), user).await?;
        Ok(Account { subscription, usage: self.usage(self.db.read(), user).await? })
    }

    /// The state now, and each time it has changed.
    pub async fn account_events(
        &self,
        user: UserId,
    ) -> Result<impl Stream<Item = Result<Account>> + Send + 'static> {
        let mut hints = self.signals.listen(Topic::Account(user)).await;
        let chat = self.clone();
        Ok(try_stream! {
            let mut told = None;
            loop {
                let Some(now) = chat.wait_out(chat.account(user)).await? else { continue };
                let shows = now.shown();
                if told.as_ref() != Some(&shows) {
                    told = Some(shows);
                    yield now;
                }
                // Either way it is time to look.
                let _ = tokio::time::timeout(LOOK_EVERY, hints.next()).await;
            }
        })
    }
}
