//! Medians and percentiles.

use std::time::Duration;

/// The median.
pub fn median(values: &[Duration]) -> Duration {
    percentile(values, 50)
}

/// The given percentile.
pub fn percentile(values: &[Duration], percent: usize) -> Duration {
    let mut sorted = values.to_vec();
    sorted.sort();
    let last = sorted.len().saturating_sub(1);
    sorted.get(last * percent / 100).copied().unwrap_or_default()
}

/// The median; 0 for an empty list.
pub fn median_of(values: &[usize]) -> usize {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// A duration in milliseconds.
pub fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// A whole number as a floating-point number.
#[expect(clippy::cast_precision_loss, reason = "counts and sizes, far below 2^52")]
pub fn real(number: usize) -> f64 {
    number as f64
}
