//! Describes what was measured: the machine, the date, the commit and the command. The description is printed above the table.

use std::{fs, process::Command};

use pollux::clock::Clock;

pub fn description(arguments: &[String]) -> String {
    let selected =
        if arguments.is_empty() { String::new() } else { format!(" ONLY=\"{}\"", arguments.join(" ")) };
    format!(
        "- machine: {cpu}, {cores} cores, {memory} GiB of memory, Linux {kernel}\n\
         - date: {date}\n\
         - commit: {commit}\n\
         - command: `make bench{selected}`",
        cpu = field("/proc/cpuinfo", "model name"),
        cores = std::thread::available_parallelism().unwrap(),
        // From KiB to GiB.
        memory = field("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap() >> 20,
        kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().trim(),
        date = Clock::system().now().format("%Y-%m-%d %H:%M UTC"),
        commit = commit().unwrap_or_else(|| "unknown".to_owned()),
    )
}

/// The value in the first line of a file that begins with `name`, as in `name : value`, or `unknown`.
fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_once(':')).map_or("unknown", |(_, value)| value.trim()).to_owned()
}

fn commit() -> Option<String> {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (!name.is_empty()).then_some(name)
}
