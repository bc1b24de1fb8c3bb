//! Settings: those that cannot work are refused, and all of them are written down.

use tempfile::TempDir;

use crate::support::process::Process;

#[test]
fn a_setting_that_cannot_work_is_refused_with_a_sentence() {
    let directory = TempDir::new().unwrap();
    for (settings, sentence) in [
        (vec![("BIND", "0.0.0.0:0")], "OTP_DELIVERY=response hands every stranger the code"),
        (vec![("BIND", "0.0.0.0:0"), ("OTP_DELIVERY", "log"), ("RATE_LIMITS", "off")], "RATE_LIMITS=off"),
        (vec![("JWT_SECRET", "short")], "JWT_SECRET is shorter than 32 characters"),
        (vec![("GEMINI_BASE_URL", "gemini")], "GEMINI_BASE_URL"),
        (vec![("GEMINI_MODEL", "../x")], "GEMINI_MODEL"),
        (vec![("CORS_ORIGINS", "chat.example")], "CORS_ORIGINS"),
        (vec![("FRONTEND_URL", "chat.example")], "FRONTEND_URL: `chat.example` is not an http(s) URL"),
        (vec![("STRIPE_API_BASE", "stripe")], "STRIPE_API_BASE"),
        (vec![("WORKER_CONCURRENCY", "0")], "--worker-concurrency"),
        (vec![("WORKER_LEASE", "0")], "--worker-lease"),
        (vec![("REDIS_URL", "localhost:6379")], "REDIS_URL cannot be read"),
        (vec![("DATABASE_URL", "mysql://x")], "DATABASE_URL must begin with sqlite: or postgres:"),
    ] {
        let refused = Process::command(directory.path()).envs(settings.clone()).output().unwrap();
        assert!(!refused.status.success(), "{settings:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(sentence), "{settings:?}: {said}");
    }
}

#[test]
fn half_of_what_several_processes_need_is_refused() {
    let directory = TempDir::new().unwrap();
    let (postgres, redis) = (("DATABASE_URL", "postgres://nowhere/x"), ("REDIS_URL", "redis://nowhere"));
    for (command, settings, sentence) in [
        ("api", vec![], "or run `pollux` alone"),
        ("worker", vec![postgres], "REDIS_URL=redis://"),
        ("worker", vec![redis], "DATABASE_URL=postgres://"),
        ("api", vec![postgres, redis], "JWT_SECRET is what all nodes sign"),
    ] {
        let refused =
            Process::command(directory.path()).arg(command).envs(settings.clone()).output().unwrap();
        assert!(!refused.status.success(), "{command} {settings:?}");
        let said = String::from_utf8(refused.stderr).unwrap();
        assert!(said.contains(sentence), "{command} {settings:?}: {said}");
    }
}

#[test]
fn help_names_every_setting_and_no_secret_value() {
    let directory = TempDir::new().unwrap();
    let help =
        Process::command(directory.path()).env("GEMINI_API_KEY", "hush-hush").arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let example = include_str!("../.env.example");
    let names: Vec<&str> = help.split("[env: ").skip(1).map(|rest| rest.split(']').next().unwrap()).collect();
    assert!(names.len() > 15);
    for name in names {
        assert!(example.contains(&format!("{name}=")), "{name} is not in .env.example");
    }
    assert!(!help.contains("hush-hush"));
}
