//! Settings for billing with Stripe.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

#[derive(Clone, Debug, clap::Args)]
pub struct BillingSettings {
    /// Secret API key of Stripe; without it, billing is disabled
    #[arg(long, env = "STRIPE_SECRET_KEY", hide_env_values = true, value_parser = super::secret)]
    stripe_secret_key: Option<SecretString>,

    /// Stripe price of the Pro tier, a recurring price such as price_1…
    #[arg(long, env = "STRIPE_PRO_PRICE_ID", hide_env_values = true)]
    stripe_pro_price_id: Option<String>,

    /// Signing secret of the Stripe webhook endpoint, such as whsec_…
    #[arg(long, env = "STRIPE_WEBHOOK_SECRET", hide_env_values = true, value_parser = super::secret)]
    stripe_webhook_secret: Option<SecretString>,

    /// Base URL of Stripe's API
    #[arg(long, env = "STRIPE_API_BASE", hide_env_values = true, default_value = "https://api.stripe.com/")]
    pub stripe_api_base: String,

    /// Timeout of a request to Stripe in seconds; a request is attempted up to three times
    #[arg(long, env = "STRIPE_TIMEOUT", hide_env_values = true, default_value = "10", value_parser = super::seconds(1..=300))]
    pub stripe_timeout: Duration,

    /// URL of the front end: Stripe's pages redirect back to this origin only
    #[arg(long, env = "FRONTEND_URL", hide_env_values = true)]
    frontend_url: Option<String>,
}

/// Treats an empty setting as not set.
fn non_empty(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}

impl BillingSettings {
    #[must_use]
    pub fn secret_key(&self) -> Option<&str> {
        non_empty(self.stripe_secret_key.as_ref().map(ExposeSecret::expose_secret))
    }

    #[must_use]
    pub fn webhook_secret(&self) -> Option<&str> {
        non_empty(self.stripe_webhook_secret.as_ref().map(ExposeSecret::expose_secret))
    }

    #[must_use]
    pub fn price(&self) -> Option<&str> {
        non_empty(self.stripe_pro_price_id.as_deref())
    }

    /// The URL of the front end, without a trailing slash.
    #[must_use]
    pub fn frontend(&self) -> Option<&str> {
        non_empty(self.frontend_url.as_deref()).map(|url| url.trim_end_matches('/'))
    }

    /// The names of the settings that billing requires and that are not set.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        let settings = [
            ("STRIPE_SECRET_KEY", self.secret_key()),
            ("STRIPE_PRO_PRICE_ID", self.price()),
            ("STRIPE_WEBHOOK_SECRET", self.webhook_secret()),
            ("FRONTEND_URL", self.frontend()),
        ];
        settings.into_iter().filter_map(|(name, value)| value.is_none().then_some(name)).collect()
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let urls =
            [("STRIPE_API_BASE", Some(self.stripe_api_base.as_str())), ("FRONTEND_URL", self.frontend())];
        for (name, url) in urls {
            url.map_or(Ok(()), |url| super::check_url(name, url))?;
        }
        Ok(())
    }
}
