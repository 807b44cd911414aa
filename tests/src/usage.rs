//! What a process has used so far, as Linux counts it.

use std::fs;
use std::time::Duration;

/// The most memory that a process has had, in KB.
pub fn peak_memory_kb(pid: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The time that a process and its children have had on a processor. To the nanosecond, unlike
/// `utime` and `stime`; without the threads and children that have ended.
pub fn cpu(pid: &str) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    let mut sum = Duration::ZERO;
    for thread in threads.flatten() {
        let read = |file| fs::read_to_string(thread.path().join(file)).unwrap_or_default();
        let on_cpu = read("schedstat").split(' ').next().and_then(|nanos| nanos.parse().ok());
        sum += Duration::from_nanos(on_cpu.unwrap_or(0));
        sum += read("children").split_whitespace().map(cpu).sum::<Duration>();
    }
    sum
}
