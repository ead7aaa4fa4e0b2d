//! What a process has used so far, as Linux counts it.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Time on a processor by all threads, in microseconds.
pub(crate) fn cpu_us(pid: u32) -> anyhow::Result<f64> {
    let tasks = format!("/proc/{pid}/task");
    let mut sum = 0.0;
    for task in fs::read_dir(&tasks).with_context(|| format!("cannot read {tasks}"))? {
        let path = task?.path().join("schedstat");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let nanoseconds: f64 = text.split_whitespace().next().context("schedstat is empty")?.parse()?;
        sum += nanoseconds / 1_000.0;
    }
    Ok(sum)
}

/// Resident memory in KiB.
pub(crate) fn resident_kib(pid: u32) -> anyhow::Result<f64> {
    // The first is exact on every kernel, but another user's is often closed.
    let files = [("smaps_rollup", "Rss:"), ("status", "VmRSS:")];
    let found = files.iter().find_map(|(name, key)| {
        let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(name)).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key).map(str::to_owned))?;
        line.split_whitespace().next()?.parse().ok()
    });
    found.with_context(|| format!("cannot read the memory of process {pid}"))
}
