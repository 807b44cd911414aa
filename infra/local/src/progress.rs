//! Progress messages on stderr, with the time since the first message.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Prints what is being done now.
pub fn step(what: impl std::fmt::Display) {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    eprintln!("{} {what}", stamp(START.elapsed()));
}

fn stamp(elapsed: Duration) -> String {
    format!("[{:>6.1} s]", elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_line_up() {
        assert_eq!(stamp(Duration::from_millis(1_240)), "[   1.2 s]");
        assert_eq!(stamp(Duration::from_secs(100)), "[ 100.0 s]");
    }
}
