//! How old a delivery may be, where its sender dates it.

use jiff::{SignedDuration, Timestamp};

/// How far a sender's clock may run ahead of ours.
pub const FUTURE_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How old a delivery may be when it arrives. Has to exceed the provider's own retry horizon, or
/// its honest retries are refused; and a record has to outlive it, or a replay finds no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance(pub SignedDuration);

/// A delivery dated outside the tolerance.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stale {
    /// Older than the tolerance allows.
    #[error("the delivery is older than the tolerance")]
    TooOld,
    /// Dated more than [`FUTURE_SKEW`] ahead of every clock.
    #[error("the delivery is dated in the future")]
    InTheFuture,
}

impl Tolerance {
    /// Checks when a delivery says it was sent against the time it arrived, which is known by one clock or
    /// two: it is too old only by the `earliest` of the times, and in the future only of the `latest`. Both
    /// ends are allowed.
    ///
    /// # Errors
    /// [`Stale`], which says on which side it fell out.
    pub fn check(self, sent: Timestamp, earliest: Timestamp, latest: Timestamp) -> Result<(), Stale> {
        if sent.duration_until(earliest) > self.0 {
            Err(Stale::TooOld)
        } else if sent.duration_until(latest) < -FUTURE_SKEW {
            Err(Stale::InTheFuture)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_are_inside() {
        let tolerance = Tolerance(SignedDuration::from_secs(60));
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        for (offset, expected) in [
            (-60_000, Ok(())),
            (-60_001, Err(Stale::TooOld)),
            (0, Ok(())),
            (300_000, Ok(())),
            (300_001, Err(Stale::InTheFuture)),
        ] {
            let sent = now + SignedDuration::from_millis(offset);
            assert_eq!(tolerance.check(sent, now, now), expected, "{offset} ms");
        }
        for extreme in [Timestamp::MIN, Timestamp::MAX] {
            assert!(tolerance.check(extreme, now, now).is_err());
            assert!(tolerance.check(now, extreme, extreme).is_err());
        }
    }

    #[test]
    fn no_refusal_rests_on_one_of_two_clocks() {
        let tolerance = Tolerance(SignedDuration::from_secs(60));
        let one = Timestamp::from_second(1_700_000_000).unwrap();
        let other = one + SignedDuration::from_mins(10);
        for sent in [one, other] {
            assert_eq!(tolerance.check(sent, one, other), Ok(()));
        }
        assert_eq!(tolerance.check(one - SignedDuration::from_secs(61), one, other), Err(Stale::TooOld));
        assert_eq!(
            tolerance.check(other + SignedDuration::from_secs(301), one, other),
            Err(Stale::InTheFuture)
        );
    }
}
