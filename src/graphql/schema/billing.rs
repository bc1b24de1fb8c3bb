//! The subscription to the Pro tier.

use async_graphql::{Context, Enum, InputObject, Object, SimpleObject};
use entity::checkout;

use crate::{
    error::Result,
    graphql::{
        engine::context::{billing, chatrooms, clock, viewer},
        types::{Billing, SubscriptionStatus},
    },
};

#[derive(Default)]
pub struct BillingQueries;

#[Object]
impl BillingQueries {
    /// Whether users can subscribe to Pro, and what it costs. Needs no sign-in.
    async fn billing(&self) -> Billing {
        Billing
    }

    /// Your tier and billing state. Errors: UNAUTHENTICATED.
    async fn subscription_status(&self, ctx: &Context<'_>) -> Result<SubscriptionStatus> {
        let account = chatrooms(ctx).account(viewer(ctx)?.user).await?;
        Ok(SubscriptionStatus::new(account.subscription.as_ref(), clock(ctx).now()))
    }

    /// The status of a checkout. While its webhook is outstanding, the status is fetched from Stripe. Errors: UNAUTHENTICATED,
    /// BAD_USER_INPUT, NOT_FOUND, RATE_LIMITED, BILLING_NOT_CONFIGURED, PAYMENT_PROVIDER_ERROR.
    async fn checkout_status(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The id of the checkout session, from startCheckout or the success URL.")]
        session_id: String,
    ) -> Result<CheckoutStatus> {
        billing(ctx).checkout_status(viewer(ctx)?.user, &session_id).await.map(CheckoutStatus::from)
    }
}

#[derive(Default)]
pub struct BillingMutations;

#[Object]
impl BillingMutations {
    /// Starts a Stripe Checkout for the Pro tier. A subscription that is INCOMPLETE, UNPAID or PAUSED after a trial is cancelled
    /// first. Errors: UNAUTHENTICATED, BAD_USER_INPUT, BILLING_NOT_CONFIGURED, PAYMENT_PROVIDER_ERROR, and ALREADY_SUBSCRIBED while a
    /// subscription is ACTIVE, TRIALING or PAST_DUE or its collection is paused.
    async fn start_checkout(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The URLs to which Stripe redirects. Null: the defaults of both.")] input: Option<
            StartCheckoutInput,
        >,
    ) -> Result<StartCheckoutPayload> {
        let input = input.unwrap_or_default();
        let viewer = viewer(ctx)?;
        let checkout = billing(ctx).start_checkout(viewer.user, input.success_url, input.cancel_url).await?;
        Ok(StartCheckoutPayload { url: checkout.url, session_id: checkout.session_id })
    }

    /// Opens Stripe's customer portal. Errors: UNAUTHENTICATED, NOT_FOUND, BAD_USER_INPUT, BILLING_NOT_CONFIGURED,
    /// PAYMENT_PROVIDER_ERROR.
    async fn open_billing_portal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The URL of the portal's link back. Null: the front end.")] input: Option<
            OpenBillingPortalInput,
        >,
    ) -> Result<BillingPortalPayload> {
        let return_url = input.and_then(|input| input.return_url);
        let url = billing(ctx).open_portal(viewer(ctx)?.user, return_url).await?;
        Ok(BillingPortalPayload { url })
    }
}

/// The status of a checkout.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "checkout::Status")]
pub enum CheckoutStatus {
    /// The checkout can still be paid.
    Open,
    /// The checkout is complete and the subscription is stored.
    Complete,
    /// The checkout can no longer be paid.
    Expired,
}

/// Where Stripe's customer portal leads back to.
#[derive(InputObject)]
pub struct OpenBillingPortalInput {
    /// The URL of the portal's link back; null for the front end.
    return_url: Option<String>,
}

/// The URLs to which Stripe redirects after a checkout. Both must have the origin of the front end.
#[derive(Default, InputObject)]
pub struct StartCheckoutInput {
    /// The URL after payment. `{CHECKOUT_SESSION_ID}` in it is replaced by the session id, and added if missing. Null:
    /// `/billing/success` of the front end.
    success_url: Option<String>,
    /// The URL after the user cancels. Null: `/billing/cancel` of the front end.
    cancel_url: Option<String>,
}

/// A started checkout.
#[derive(SimpleObject)]
pub struct StartCheckoutPayload {
    /// The URL of Stripe's checkout page.
    url: String,
    /// The id of the checkout session, for checkoutStatus.
    session_id: String,
}

/// An opened customer portal.
#[derive(SimpleObject)]
pub struct BillingPortalPayload {
    /// The URL of Stripe's portal page, valid for a few minutes.
    url: String,
}
