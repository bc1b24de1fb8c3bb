//! The command line and the environment. A variable that is empty counts as not set; a value that cannot be used is
//! refused with a sentence that names the setting, what it may be and, unless it may hold a secret, what was given.

use clap::{
    Command, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Parses what the process was started with. Ends it after `--help` and `--version`, and where the arguments do not parse.
///
/// # Errors
/// A sentence about a setting's value.
pub fn parse_command_line<C: CommandFactory + FromArgMatches>() -> Result<C, String> {
    let command = C::command().mut_args(|argument| {
        let is_empty = |name| {
            std::env::var_os(name).is_some_and(|value| value.as_encoded_bytes().trim_ascii().is_empty())
        };
        if argument.get_env().is_some_and(is_empty) { argument.env(None::<&str>) } else { argument }
    });
    let parsed = command.clone().try_get_matches().and_then(|matches| C::from_arg_matches(&matches));
    parsed.map_err(|error| explain(&command, &error).unwrap_or_else(|| error.exit()))
}

/// A sentence about a value that was refused; none where the error is about something else.
fn explain(command: &Command, error: &clap::Error) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else { return None };
    let long = shown.strip_prefix("--")?.split([' ', '=']).next()?;
    let argument = command.get_arguments().find(|argument| argument.get_long() == Some(long))?;
    let name = match argument.get_env() {
        Some(name) => format!("{} (--{long})", name.to_string_lossy()),
        None => format!("--{long}"),
    };
    let given = match error.get(ContextKind::InvalidValue) {
        Some(ContextValue::String(value)) if !may_hold_a_secret(long) => format!("; got `{value}`"),
        _ => String::new(),
    };
    let expected = match (error.get(ContextKind::ValidValue), std::error::Error::source(error)) {
        (Some(ContextValue::Strings(values)), _) => format!("must be one of {}", values.join(", ")),
        (_, Some(cause)) => cause.to_string(),
        _ => "cannot be used".to_owned(),
    };
    Some(format!("{name} {expected}{given}."))
}

fn may_hold_a_secret(long: &str) -> bool {
    ["url", "secret", "secrets", "key", "token"].iter().any(|ending| long.ends_with(ending))
}
