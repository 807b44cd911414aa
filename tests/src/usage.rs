//! The memory and the processor time that a process has used so far, from Linux's `/proc`.

use std::fs;
use std::time::Duration;

/// The peak memory of a process, in KB.
pub fn peak_memory_kb(pid: &str) -> usize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    peak.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The processor time of a process and its children. From `schedstat`, which counts nanoseconds, because
/// `utime` and `stime` are less precise. Threads and children that have ended are not counted.
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
