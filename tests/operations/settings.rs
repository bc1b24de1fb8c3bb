//! Validation of settings, and their documentation by `--help`.

use tempfile::TempDir;

use crate::support::process::Process;

/// Checks that a server with these settings does not start, and that its error contains this text. A newline at the end of the text
/// means that the message ends there.
fn assert_rejected(directory: &TempDir, settings: &[(&str, &str)], expected: &str) {
    let output = Process::command(directory.path()).envs(settings.iter().copied()).output().unwrap();
    assert!(!output.status.success(), "{settings:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains(expected), "{settings:?}: {error}");
}

#[test]
fn invalid_settings_of_models_are_rejected_with_an_explanation() {
    let directory = TempDir::new().unwrap();
    for (settings, expected) in [
        (vec![("GEMINI_BASE_URL", "gemini")], "GEMINI_BASE_URL"),
        (vec![("GEMINI_MODEL", "../x")], "GEMINI_MODEL"),
        (
            vec![("OPENAI_BASE_URL", "localhost:11434/v1")],
            "OPENAI_BASE_URL: `localhost:11434/v1` is not an http(s) URL",
        ),
        (vec![("OPENAI_API_KEY", "key")], "OPENAI_API_KEY is set, but no model: set OPENAI_MODELS"),
        (vec![("OPENAI_MODELS", "gpt-a")], "OPENAI_MODELS requires OPENAI_API_KEY"),
        (
            vec![("OPENAI_PROVIDER", "A name that is longer than any name that users may see.")],
            "OPENAI_PROVIDER must be 1 to 50 characters",
        ),
        (
            vec![
                ("GEMINI_API_KEY", "key"),
                ("GEMINI_MODEL", "a"),
                ("OPENAI_MODELS", "b,a"),
                ("OPENAI_API_KEY", "key"),
            ],
            "`a` is a model of Gemini and in OPENAI_MODELS",
        ),
        (
            vec![("DEFAULT_MODEL", "b"), ("GEMINI_API_KEY", "key"), ("GEMINI_MODEL", "a")],
            "DEFAULT_MODEL: `b` is not one of the configured models: a.",
        ),
        (
            vec![("MODEL_TEMPERATURE", "2.1")],
            "MODEL_TEMPERATURE (--model-temperature) must be a number from 0 to 2; got `2.1`.\n",
        ),
        (vec![("MODEL_TOP_P", "NaN")], "MODEL_TOP_P (--model-top-p) must be a number from 0 to 1"),
        (
            vec![("MODEL_MAX_OUTPUT_TOKENS", "0")],
            "MODEL_MAX_OUTPUT_TOKENS (--model-max-output-tokens) must be a whole number from 1 to",
        ),
        (vec![("PRO_MODELS", "b")], "PRO_MODELS: `b` is not one of the configured models: none."),
        // GEMINI_MODEL is the default model; GEMINI_MODELS adds others.
        (
            vec![
                ("PRO_MODELS", "a"),
                ("GEMINI_API_KEY", "key"),
                ("GEMINI_MODEL", "a"),
                ("GEMINI_MODELS", "b"),
            ],
            "PRO_MODELS: `a` is the default model, which all users need: set DEFAULT_MODEL to another model.",
        ),
    ] {
        assert_rejected(&directory, &settings, expected);
    }
}

#[test]
fn invalid_settings_are_rejected_with_an_explanation() {
    let directory = TempDir::new().unwrap();
    for (settings, expected) in [
        // On an address that others can reach, the defaults of development are rejected.
        (vec![("BIND", "0.0.0.0:0")], "OTP_DELIVERY=response returns codes to any client"),
        (vec![("BIND", "0.0.0.0:0"), ("OTP_DELIVERY", "log"), ("RATE_LIMITS", "off")], "RATE_LIMITS=off"),
        (
            vec![("JWT_SECRET", "short")],
            "JWT_SECRET and each of JWT_PREVIOUS_SECRETS must have at least 32 characters",
        ),
        (vec![("JWT_PREVIOUS_SECRETS", "short")], "each of JWT_PREVIOUS_SECRETS"),
        (vec![("OTP_DELIVERY", "webhook")], "OTP_WEBHOOK_URL and OTP_WEBHOOK_SECRET"),
        (vec![("OTP_DELIVERY", "twilio"), ("TWILIO_FROM", "+14155550123")], "TWILIO_ACCOUNT_SID"),
        (vec![("OTP_COUNTRIES", "DE,Germany")], "OTP_COUNTRIES: `Germany` is not a two-letter country code"),
        (
            vec![("OTP_PREFIX_LIMIT", "0")],
            "error: OTP_PREFIX_LIMIT (--otp-prefix-limit) must be a whole number from 1 to 1000000; got `0`.\n",
        ),
        (
            vec![("TRUSTED_PROXIES", "10.0.0.0/8,proxy")],
            "TRUSTED_PROXIES (--trusted-proxies) must be IP addresses",
        ),
        (
            vec![("MAX_CONNECTIONS", "0")],
            "MAX_CONNECTIONS (--max-connections) must be a whole number from 1 to",
        ),
        (vec![("PORT", "99999")], "PORT (--port) must be a whole number from 0 to 65535; got `99999`.\n"),
        (vec![("BIND", "localhost")], "BIND (--bind) must be an IP address and a port, as in 127.0.0.1:8000"),
        (vec![("METRICS_BIND", "9090")], "METRICS_BIND (--metrics-bind) must be an IP address and a port"),
        (vec![("LOG_FORMAT", "xml")], "LOG_FORMAT (--log-format) must be one of pretty, json; got `xml`.\n"),
        (vec![("RUST_LOG", "pollux=loud")], "RUST_LOG"),
        (vec![("PERSISTED_QUERIES", "only")], "PERSISTED_QUERIES_FILE"),
        (
            vec![("PERSISTED_QUERIES", "only"), ("PERSISTED_QUERIES_FILE", "missing.json")],
            "PERSISTED_QUERIES_FILE missing.json cannot be read",
        ),
        (vec![("CORS_ORIGINS", "chat.example")], "CORS_ORIGINS"),
        (vec![("FRONTEND_URL", "chat.example")], "FRONTEND_URL: `chat.example` is not an http(s) URL"),
        (vec![("STRIPE_API_BASE", "stripe")], "STRIPE_API_BASE"),
        (
            vec![("WORKER_CONCURRENCY", "0")],
            "WORKER_CONCURRENCY (--worker-concurrency) must be a whole number",
        ),
        (
            vec![("WORKER_LEASE", "0")],
            "WORKER_LEASE (--worker-lease) must be a whole number from 1 to 86400, in seconds",
        ),
        (vec![("REDIS_URL", "localhost:6379")], "REDIS_URL cannot be read"),
        (
            vec![("DATABASE_URL", "mysql://x")],
            "DATABASE_URL (--database-url) must begin with sqlite: or postgres:",
        ),
    ] {
        assert_rejected(&directory, &settings, expected);
    }
}

#[test]
fn invalid_values_that_may_hold_secrets_are_not_printed() {
    let directory = TempDir::new().unwrap();
    for (name, value) in [
        // An unknown scheme, no URL at all, no colon after the scheme, and a port that is not a number.
        ("DATABASE_URL", "postgress://pollux:secret-value@db/chat"),
        ("OTP_WEBHOOK_URL", "secret-value"),
        ("REDIS_URL", "redis//:secret-value@redis"),
        ("DATABASE_URL", "postgres://pollux:secret-value@db:port/chat"),
    ] {
        let output = Process::command(directory.path()).env(name, value).output().unwrap();
        assert!(!output.status.success(), "{name}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(name) && !error.contains("secret-value"), "{name}: {error}");
    }
}

#[test]
fn an_incomplete_multi_process_configuration_is_rejected() {
    let directory = TempDir::new().unwrap();
    let (postgres, redis) = (("DATABASE_URL", "postgres://nowhere/x"), ("REDIS_URL", "redis://nowhere"));
    for (command, settings, expected) in [
        ("api", vec![], "or run `pollux` without a command"),
        ("worker", vec![postgres], "REDIS_URL=redis://"),
        ("worker", vec![redis], "DATABASE_URL=postgres://"),
        ("api", vec![postgres, redis], "JWT_SECRET is required with PostgreSQL and Redis"),
    ] {
        let output = Process::command(directory.path()).arg(command).envs(settings.clone()).output().unwrap();
        assert!(!output.status.success(), "{command} {settings:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(error.contains(expected), "{command} {settings:?}: {error}");
    }
}

#[test]
fn every_setting_in_the_help_is_in_the_example_file_and_the_help_shows_no_secret_value() {
    let directory = TempDir::new().unwrap();
    let help = Process::command(directory.path())
        .env("GEMINI_API_KEY", "secret-value")
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let example = include_str!("../../.env.example");
    let names: Vec<&str> = help.split("[env: ").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    assert!(names.len() > 15);
    for name in names {
        assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
    }
    assert!(!help.contains("secret-value"));
}
