//! A user's subscription and usage, and the stream of their changes.

use std::{sync::Arc, time::Duration};

use async_stream::try_stream;
use entity::{UserId, subscription};
use futures_util::{Stream, StreamExt};

use super::Chatrooms;
use crate::{
    domain::{billing::tiers::tier, quota::PromptBudget, read_retry::with_read_retry},
    error::Result,
    ports::signals::Topic,
    store::subscriptions,
};

/// How often to read the state without a signal: a process that is killed after a change does not publish the signal, and a new
/// day has no signal.
const POLL_EVERY: Duration = Duration::from_secs(30);

/// A user's subscription and usage.
#[derive(Clone, Debug)]
pub struct AccountState {
    pub user: UserId,
    /// None if the user has no Stripe customer.
    pub subscription: Option<subscription::Model>,
    pub usage: PromptBudget,
    /// The tokens used today, and the number of replies that are not finished.
    tokens: (i64, i32),
}

impl AccountState {
    /// The parts that the user sees. A state is sent only if one of them has changed.
    fn visible(&self) -> impl PartialEq + use<> {
        let subscription = self.subscription.as_ref().map(|subscription| {
            let period_end = (subscription.current_period_end, subscription.cancel_at_period_end);
            (subscription.state, period_end, subscription.pro_until)
        });
        (subscription, self.usage, self.tokens)
    }
}

impl Chatrooms {
    /// The current state.
    pub async fn account(&self, user: UserId) -> Result<AccountState> {
        let subscription = subscriptions::of_user(self.db.read(), user).await?;
        let today = self.quota.usage_today(self.db.read(), user).await?;
        let used = today.as_ref().map_or(0, |today| today.used);
        let usage = self.quota.prompt_budget(tier(subscription.as_ref(), self.clock.now()), used);
        let tokens = today.map_or((0, 0), |today| (today.tokens, today.unfinished));
        Ok(AccountState { user, subscription, usage, tokens })
    }

    /// The current state, then each changed state.
    pub async fn account_events(
        self: &Arc<Self>,
        user: UserId,
    ) -> Result<impl Stream<Item = Result<AccountState>> + Send + 'static> {
        let mut signals = self.signals.subscribe(Topic::Account(user)).await;
        let chatrooms = self.clone();
        Ok(try_stream! {
            let mut last_sent = None;
            loop {
                // None: the read failed, and `with_read_retry` has waited.
                let Some(state) = with_read_retry(|| chatrooms.account(user)).await? else { continue };
                let visible = state.visible();
                if last_sent.as_ref() != Some(&visible) {
                    last_sent = Some(visible);
                    yield state;
                }
                // Read the state again, whether a signal has arrived or the time is up.
                let _ = tokio::time::timeout(POLL_EVERY, signals.next()).await;
            }
        })
    }
}
