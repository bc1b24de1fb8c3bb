//! Builds the quotas from the settings.

use crate::{
    clock::Clock,
    config::Config,
    domain::quota::{Calendar, Quota},
    store::usage::{Limits, TierLimits},
};

pub(super) fn quota(config: &Config, clock: &Clock) -> Quota {
    let settings = &config.quota;
    Quota {
        clock: clock.clone(),
        calendar: Calendar(settings.quota_time_zone),
        limits: Limits {
            basic: TierLimits {
                daily_prompts: Some(settings.basic_daily_limit),
                daily_tokens: settings.basic_daily_tokens.map(i64::from),
                monthly_tokens: settings.basic_monthly_tokens.map(i64::from),
            },
            pro: TierLimits {
                daily_prompts: settings.pro_daily_limit,
                daily_tokens: settings.pro_daily_tokens.map(i64::from),
                monthly_tokens: settings.pro_monthly_tokens.map(i64::from),
            },
            reserved_tokens: settings.reserved_tokens.into(),
        },
        is_billing_configured: config.billing.missing().is_empty(),
    }
}
