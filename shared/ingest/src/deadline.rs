//! The time by which a delivery must be answered.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The longest time between the arrival of a request at the gateway and its reply. The shortest deadline of a
/// provider is 5 seconds (UMAaaS, for a payment that waits); the difference is for the network.
pub const REPLY_WITHIN: SignedDuration = SignedDuration::from_secs(4);

/// The time that earlier calls must leave for writing the record. A payment that cannot be recorded is not
/// approved.
pub const FOR_RECORD: Duration = Duration::from_millis(1900);

/// The time for subtracting a payment from its limits, after the reply.
pub const FOR_SUBTRACTION: Duration = Duration::from_millis(1300);

/// API Gateway ends a request after this time. If a request seems to be older, the gateway's clock and ours
/// differ.
const GATEWAY_GIVES_UP: SignedDuration = SignedDuration::from_secs(30);

/// When a delivery arrived, by two clocks. Each of them can be wrong: after Lambda has frozen an instance, its
/// clock is wrong for a moment.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The arrival by our clock.
    pub received_at: Timestamp,
    /// The arrival at the gateway by its clock, if the request says so. A cold start happens between the two
    /// times.
    pub reached_gateway_at: Option<Timestamp>,
}

/// The time by which a delivery must be answered, by our clock.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Timestamp);

impl Arrival {
    /// An arrival that only our clock measured.
    #[must_use]
    pub fn at(received_at: Timestamp) -> Self {
        Self { received_at, reached_gateway_at: None }
    }

    /// The earlier of the two times. It decides whether a delivery is too old.
    #[must_use]
    pub fn earliest(self) -> Timestamp {
        self.reached_gateway_at.map_or(self.received_at, |at| at.min(self.received_at))
    }

    /// The later of the two times. It decides whether a delivery is from the future.
    #[must_use]
    pub fn latest(self) -> Timestamp {
        self.reached_gateway_at.map_or(self.received_at, |at| at.max(self.received_at))
    }

    /// The time by which this delivery must be answered.
    #[must_use]
    pub fn deadline(self) -> Deadline {
        let under_way = self.received_at.duration_since(self.reached_gateway_at.unwrap_or(self.received_at));
        let genuine = (SignedDuration::ZERO..GATEWAY_GIVES_UP).contains(&under_way);
        let left = if genuine { REPLY_WITHIN - under_way } else { REPLY_WITHIN };
        Deadline(self.received_at.saturating_add(left).unwrap_or(Timestamp::MAX))
    }
}

impl Deadline {
    /// The time that is left; zero after the deadline.
    #[must_use]
    pub fn left(self, now: Timestamp) -> Duration {
        now.duration_until(self.0).try_into().unwrap_or_default()
    }

    /// The time that is left for a call before the record is written.
    #[must_use]
    pub fn before_record(self, now: Timestamp) -> Duration {
        self.left(now).saturating_sub(FOR_RECORD)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_clock_counts_unless_it_differs_from_ours() {
        let received_at = Timestamp::from_second(1_700_000_000).unwrap();
        for (under_way, left) in [
            (None, 4000),
            (Some(0), 4000),
            (Some(300), 3700),
            (Some(3_999), 1),
            (Some(4_000), 0),
            (Some(29_000), 0),
            // our clock is ahead of the gateway's, or behind it
            (Some(310_000), 4000),
            (Some(-310_000), 4000),
        ] {
            let reached_gateway_at =
                under_way.map(|millis| received_at - SignedDuration::from_millis(millis));
            let deadline = Arrival { received_at, reached_gateway_at }.deadline();
            assert_eq!(deadline.left(received_at), Duration::from_millis(left), "{under_way:?}");
            let before = Duration::from_millis(left).saturating_sub(FOR_RECORD);
            assert_eq!(deadline.before_record(received_at), before, "{under_way:?}");
        }
    }
}
