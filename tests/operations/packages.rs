//! The files under `deploy/`: the dashboard, the alert rules and the packages.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use serde_json::Value;

use crate::support::requirements::has_promtool;

const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(DEPLOY).join(path)).unwrap()
}

/// The names of metrics in a text: words that begin with `pollux_` or `process_`.
fn metric_names(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("pollux_") || word.starts_with("process_"))
        .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
        .collect()
}

/// The source that registers the metrics, with all their names.
fn metrics_source() -> String {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/telemetry/metrics");
    fs::read_dir(source).unwrap().map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
}

#[test]
fn dashboard_alerts_and_autoscaling_name_only_metrics_that_exist() {
    let source = metrics_source();
    for path in [
        "monitoring/dashboard.json",
        "monitoring/alerts.yaml",
        "helm/pollux/templates/autoscaling.yaml",
        "../docs/operations.md",
    ] {
        let text = read(path);
        // docs/operations.md has `process_*`, which is not a name.
        for name in metric_names(&text).into_iter().filter(|name| *name != "process_") {
            // The source adds the prefix `process_` to a list of names.
            let name = name.strip_prefix("process_").unwrap_or(name);
            assert!(source.contains(&format!("\"{name}\"")), "{path} names {name}, which is not registered");
        }
    }
    let dashboard = read("monitoring/dashboard.json");
    // In the source, `process_` is the prefix of a list of names.
    for name in metric_names(&source).into_iter().filter(|name| *name != "process_") {
        assert!(dashboard.contains(name), "the dashboard does not show {name}");
    }
}

#[test]
fn each_panel_of_the_dashboard_has_expressions_and_its_own_position() {
    let dashboard: Value = serde_json::from_str(&read("monitoring/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut positions = BTreeSet::new();
    for panel in panels {
        assert!(
            panel["targets"].as_array().unwrap().iter().all(|target| target["expr"].is_string()),
            "{panel}"
        );
        assert!(
            positions.insert((panel["gridPos"]["x"].as_i64(), panel["gridPos"]["y"].as_i64())),
            "{panel}"
        );
    }
    assert!(panels.len() > 20);
}

#[test]
fn alert_rules_are_valid_and_documented() {
    let rules = read("monitoring/alerts.yaml");
    let documentation = read("../docs/operations.md");
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(documentation.contains(&format!("`{name}`")), "docs/operations.md does not describe {name}");
    }
    if has_promtool() {
        let file = Path::new(DEPLOY).join("monitoring/alerts.yaml");
        let output = Command::new("promtool").args(["check", "rules"]).arg(file).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
    }
}

#[test]
fn packages_set_only_settings_that_exist() {
    let example = read("../.env.example");
    let mut found = 0;
    for path in [
        "compose/compose.yaml",
        "compose/compose.scale.yaml",
        "systemd/pollux.service",
        "docker/Dockerfile",
        "helm/pollux/values.yaml",
        "helm/pollux/templates/_helpers.tpl",
    ] {
        let text = read(path);
        let words = text.split(|c: char| !c.is_ascii_uppercase() && c != '_');
        for word in words.filter(|word| word.contains('_') && word.len() > 5) {
            // Settings of PostgreSQL's image and systemd's names of address families.
            if ["POSTGRES_PASSWORD", "POSTGRES_USER", "POSTGRES_DB", "AF_INET", "AF_UNIX"].contains(&word) {
                continue;
            }
            assert!(example.contains(&format!("{word}=")), "{path} sets {word}, which is not a setting");
            found += 1;
        }
    }
    assert!(found > 20, "the files contain only {found} settings");
}
