//! Parsing of the command line and the environment. An empty variable counts as not set. The error for an invalid value
//! names the setting, its valid values and, unless it may be a secret, the value.

use clap::{
    Command, CommandFactory, FromArgMatches,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Parses the arguments of the process. Exits after `--help` and `--version`, and on unknown or missing arguments.
///
/// # Errors
/// A sentence about an invalid value.
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

/// Explains an invalid value in a sentence. Returns none if the error has another cause.
fn explain(command: &Command, error: &clap::Error) -> Option<String> {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return None;
    }
    // The argument as the usage shows it, such as `--bind <BIND>`.
    let Some(ContextValue::String(usage)) = error.get(ContextKind::InvalidArg) else { return None };
    let long = usage.strip_prefix("--")?.split([' ', '=']).next()?;
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
        _ => "is invalid".to_owned(),
    };
    Some(format!("{name} {expected}{given}."))
}

fn may_hold_a_secret(long: &str) -> bool {
    ["url", "secret", "secrets", "key", "token"].iter().any(|ending| long.ends_with(ending))
}
