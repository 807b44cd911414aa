//! How old a delivery may be. Only for senders that put the time of sending into a delivery.

use jiff::{SignedDuration, Timestamp};

/// How far a sender's clock may be ahead of ours.
pub const FUTURE_SKEW: SignedDuration = SignedDuration::from_mins(5);

/// How old a delivery may be when it arrives.
///
/// The tolerance must be longer than the time for which the provider retries, otherwise genuine retries are
/// refused. The retention of records must be longer than the tolerance, otherwise a replayed delivery finds no
/// record and counts as a new event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tolerance(pub SignedDuration);

/// Why the time of sending was refused.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stale {
    /// The delivery is older than the tolerance.
    #[error("the delivery is older than the tolerance")]
    TooOld,
    /// The time of sending is more than [`FUTURE_SKEW`] after the latest time of arrival.
    #[error("the delivery is dated in the future")]
    InTheFuture,
}

impl Tolerance {
    /// Checks the time at which a delivery was `sent` against the time of its arrival.
    ///
    /// One or two clocks measure the arrival. A delivery is too old only if it is too old by the `earliest`
    /// of these times, and from the future only if it is so by the `latest`: no refusal depends on one wrong
    /// clock. An age of exactly the tolerance, or exactly [`FUTURE_SKEW`] ahead, is accepted.
    ///
    /// # Errors
    /// [`Stale`] says whether the delivery is too old or from the future.
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
