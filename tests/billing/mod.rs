//! Checkout, the billing portal, tiers and Stripe's webhooks.

mod checkout;
mod price;
mod subscription_states;
mod webhook_bursts;
mod webhook_order;
mod webhooks;
