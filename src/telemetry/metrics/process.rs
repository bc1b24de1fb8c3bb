//! The [process metrics](https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics) that every Prometheus
//! client exports, as Linux reports them in `/proc`. On other systems there are none.

use std::{fmt::Write, fs};

/// The unit in which Linux reports CPU times to processes. It is always a hundredth of a second, whatever the frequency of the
/// kernel's timer.
const TICKS_PER_SECOND: f64 = 100.0;

/// Appends the metrics to a text.
pub(super) fn append(text: &mut Vec<u8>) {
    text.extend(read().unwrap_or_default().into_bytes());
}

/// None if `/proc` has another format.
fn read() -> Option<String> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The second field is the name of the program, in parentheses, and may contain spaces. The split fields begin with the third.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let resident = resident.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0;
    let system = fs::read_to_string("/proc/stat").ok()?;
    let booted_at = system.lines().find_map(|line| line.strip_prefix("btime "))?.parse::<f64>().ok()?;
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let max_files = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let max_files = max_files.split_whitespace().next()?.parse().unwrap_or(f64::INFINITY);
    let open_files = f64::from(u32::try_from(fs::read_dir("/proc/self/fd").ok()?.count()).ok()?);
    let samples = [
        ("cpu_seconds_total", "counter", "CPU time used.", (field(14)? + field(15)?) / TICKS_PER_SECOND),
        ("open_fds", "gauge", "Open file descriptors.", open_files),
        ("max_fds", "gauge", "The maximum number of open file descriptors.", max_files),
        ("resident_memory_bytes", "gauge", "Memory in use.", resident),
        ("virtual_memory_bytes", "gauge", "Reserved address space.", field(23)?),
        ("threads", "gauge", "Threads of the operating system.", field(20)?),
        (
            "start_time_seconds",
            "gauge",
            "The Unix time at which the process started.",
            booted_at + field(22)? / TICKS_PER_SECOND,
        ),
    ];
    let mut text = String::new();
    for (name, kind, help, value) in samples {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "# HELP process_{name} {help}\n# TYPE process_{name} {kind}\nprocess_{name} {value}\n"
        );
    }
    Some(text)
}
