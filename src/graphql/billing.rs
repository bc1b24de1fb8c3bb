//! Buying Pro.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use entity::checkout;

use super::{
    context::{billing, chat, viewer},
    types::SubscriptionStatus,
};
use crate::error::Result;

#[derive(Default)]
pub struct BillingQueries;

#[Object]
impl BillingQueries {
    /// Your subscription tier and its billing state.
    async fn subscription_status(&self, ctx: &Context<'_>) -> Result<SubscriptionStatus> {
        let account = chat(ctx).account(viewer(ctx)?.user).await?;
        Ok(SubscriptionStatus::new(account.subscription.as_ref(), chat(ctx).clock.now()))
    }

    /// How a checkout stands, asked of Stripe itself when its webhook is late.
    async fn checkout_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The session's id, as startCheckout and the success URL tell it.")]
        session_id: String,
    ) -> Result<CheckoutStatus> {
        billing(ctx).checkout_status(viewer(ctx)?.user, &session_id).await.map(CheckoutStatus::from)
    }
}

#[derive(Default)]
pub struct BillingMutations;

#[Object]
impl BillingMutations {
    /// Starts a Stripe Checkout for the Pro tier. ALREADY_SUBSCRIBED while a subscription is ACTIVE, TRIALING or PAST_DUE or its
    /// collection is paused; one that is INCOMPLETE, UNPAID or PAUSED after a trial is cancelled first.
    async fn start_checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where to go on afterwards.")] input: Option<StartCheckoutInput>,
    ) -> Result<StartCheckoutPayload> {
        let input = input.unwrap_or_default();
        let viewer = viewer(ctx)?;
        let begun = billing(ctx).start_checkout(viewer.user, input.success_url, input.cancel_url).await?;
        Ok(StartCheckoutPayload { url: begun.url, session_id: begun.session_id })
    }

    /// Opens Stripe's customer portal.
    async fn open_billing_portal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where the portal leads back to; the front end without it.")] return_url: Option<
            String,
        >,
    ) -> Result<BillingPortalPayload> {
        let url = billing(ctx).open_portal(viewer(ctx)?.user, return_url).await?;
        Ok(BillingPortalPayload { url })
    }
}

/// How a checkout stands.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "checkout::Status")]
pub enum CheckoutStatus {
    /// It can still be paid.
    Open,
    /// It is done, and the subscription is stored.
    Complete,
    /// It can be paid no more.
    Expired,
}

/// Where to go on after a checkout; both must be of the front end's origin.
#[derive(Default, InputObject)]
pub struct StartCheckoutInput {
    /// After paying; `{CHECKOUT_SESSION_ID}` in it becomes the session's id, and is added where it is not.
    success_url: Option<String>,
    /// After going back.
    cancel_url: Option<String>,
}

/// A checkout that waits for its user.
#[derive(SimpleObject)]
pub struct StartCheckoutPayload {
    /// Stripe's page.
    url: String,
    /// To ask checkoutStatus with.
    session_id: String,
}

/// A portal that is open.
#[derive(SimpleObject)]
pub struct BillingPortalPayload {
    /// Stripe's page; it can be opened for some minutes.
    url: String,
}
