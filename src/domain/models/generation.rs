//! Generation settings: the randomness of a model, and the maximum length of its answer and of its thoughts. The server has
//! settings, which a chatroom may override within limits.

use std::ops::RangeInclusive;

use entity::chatroom::Generation;

use crate::error::{Error, Result};

const TEMPERATURE: RangeInclusive<f64> = 0.0..=2.0;
const TOP_P: RangeInclusive<f64> = 0.0..=1.0;
/// The limit of a chatroom's `maxOutputTokens` if the server sets none.
pub const MAX_OUTPUT_TOKENS: i32 = 1_000_000;
/// The limit of a chatroom's `thinkingBudget` if the server sets none.
pub const MAX_THINKING_BUDGET: i32 = 1_000_000;

/// Checks a chatroom's own settings. A chatroom cannot set more tokens than the server's settings allow, because the operator
/// pays for them.
///
/// # Errors
/// [`Error::BadInput`] with the field and its limits.
pub fn check(own: Generation, server: Generation) -> Result<Generation> {
    for (field, value, range) in [("temperature", own.temperature, TEMPERATURE), ("topP", own.top_p, TOP_P)] {
        if let Some(value) = value
            && !range.contains(&value)
        {
            let message = format!("{field} must be {} to {}; got {value}.", range.start(), range.end());
            return Err(Error::bad_input(field, message));
        }
    }
    let (output, thinking) = (server.max_output_tokens, server.thinking_budget);
    for (field, value, min, max) in [
        ("maxOutputTokens", own.max_output_tokens, 1, output.unwrap_or(MAX_OUTPUT_TOKENS)),
        ("thinkingBudget", own.thinking_budget, 0, thinking.unwrap_or(MAX_THINKING_BUDGET)),
    ] {
        if let Some(value) = value
            && !(min..=max).contains(&value)
        {
            return Err(Error::bad_input(field, format!("{field} must be {min} to {max}; got {value}.")));
        }
    }
    Ok(own)
}

/// The settings of a reply: the chatroom's own, and the server's where the chatroom has none. Numbers of tokens are limited to
/// the server's here, too, because the server's may have become lower since [`check`] limited the chatroom's.
#[must_use]
pub fn merge(own: Option<Generation>, server: Generation) -> Generation {
    let own = own.unwrap_or_default();
    let lower = |own: Option<i32>, server: Option<i32>| own.into_iter().chain(server).min();
    Generation {
        temperature: own.temperature.or(server.temperature),
        top_p: own.top_p.or(server.top_p),
        max_output_tokens: lower(own.max_output_tokens, server.max_output_tokens),
        thinking_budget: lower(own.thinking_budget, server.thinking_budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(temperature: Option<f64>, output: Option<i32>) -> Generation {
        Generation { temperature, max_output_tokens: output, ..Generation::default() }
    }

    #[test]
    fn a_chatrooms_settings_override_the_servers_up_to_the_servers_maximum() {
        let server = generation(Some(0.5), Some(100));
        assert_eq!(merge(None, server), server);
        assert_eq!(merge(Some(generation(Some(0.0), None)), server), generation(Some(0.0), Some(100)));
        assert_eq!(merge(Some(generation(None, Some(70))), server), generation(Some(0.5), Some(70)));
        // 700 was valid before the operator lowered the maximum.
        assert_eq!(merge(Some(generation(None, Some(700))), server), generation(Some(0.5), Some(100)));
    }

    #[test]
    fn values_outside_the_limits_are_rejected_with_the_limits() {
        let server = generation(None, Some(100));
        let message = |own| match check(own, server) {
            Err(Error::BadInput { message, .. }) => message,
            _ => "accepted".to_owned(),
        };
        assert_eq!(message(generation(Some(2.0), Some(100))), "accepted");
        assert_eq!(message(generation(Some(2.1), None)), "temperature must be 0 to 2; got 2.1.");
        assert_eq!(message(generation(Some(f64::NAN), None)), "temperature must be 0 to 2; got NaN.");
        assert_eq!(message(generation(None, Some(0))), "maxOutputTokens must be 1 to 100; got 0.");
        assert_eq!(message(generation(None, Some(101))), "maxOutputTokens must be 1 to 100; got 101.");
    }
}
