//! How a model generates: its randomness, and the length of its answer and of its thoughts. The server has settings, which a
//! chatroom may override within limits.

use std::ops::RangeInclusive;

use entity::chatroom::Generation;

use crate::error::{Error, Result};

const TEMPERATURE: RangeInclusive<f64> = 0.0..=2.0;
const TOP_P: RangeInclusive<f64> = 0.0..=1.0;
/// The limits of a server without settings.
pub const MAX_OUTPUT_TOKENS: i32 = 1_000_000;
pub const MAX_THINKING_BUDGET: i32 = 1_000_000;

/// Checks a chatroom's settings. The numbers of tokens in the server's settings are also the limits of a chatroom's, because the
/// operator pays for them.
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

/// The settings of a reply: the chatroom's, and the server's where it has none. The server's limits may have become lower since the
/// chatroom's were checked.
#[must_use]
pub fn merge(own: Option<Generation>, server: Generation) -> Generation {
    let own = own.unwrap_or_default();
    let at_most = |own: Option<i32>, server: Option<i32>| own.into_iter().chain(server).min();
    Generation {
        temperature: own.temperature.or(server.temperature),
        top_p: own.top_p.or(server.top_p),
        max_output_tokens: at_most(own.max_output_tokens, server.max_output_tokens),
        thinking_budget: at_most(own.thinking_budget, server.thinking_budget),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(temperature: Option<f64>, output: Option<i32>) -> Generation {
        Generation { temperature, max_output_tokens: output, ..Generation::default() }
    }

    #[test]
    fn a_chatrooms_settings_override_the_servers_up_to_its_maximum() {
        let server = generation(Some(0.5), Some(100));
        assert_eq!(merge(None, server), server);
        assert_eq!(merge(Some(generation(Some(0.0), None)), server), generation(Some(0.0), Some(100)));
        assert_eq!(merge(Some(generation(None, Some(70))), server), generation(Some(0.5), Some(70)));
        // It was valid before the operator lowered the maximum.
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
