//! A circuit breaker for the calls after a reply. While a service does not answer, each delivery would keep its
//! Lambda instance busy for the call's whole time budget, and the account would run out of concurrency.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::PortError;

/// The breaker opens after this number of failures in a row.
const OPENS_AFTER: u32 = 3;

/// How long an open breaker stops the call. After that time the call is tried once.
const OPEN_FOR: SignedDuration = SignedDuration::from_secs(30);

/// The breaker of one call.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Clone, Copy, Debug, Default)]
struct State {
    failures: u32,
    open_until: Option<Timestamp>,
}

impl Breaker {
    /// Whether the call should not be made now.
    pub fn is_open(&self, now: Timestamp) -> bool {
        let State { open_until, .. } = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // If the clock was set back, `until` is too far ahead: the breaker is then closed.
        open_until.is_some_and(|until| (SignedDuration::ZERO..=OPEN_FOR).contains(&now.duration_until(until)))
    }

    /// Records how a call ended. Only an [`unavailable`](PortError::unavailable) error counts as a failure: a
    /// call that was answered with a refusal does not keep the instance busy.
    pub fn note<T>(&self, result: &Result<T, PortError>, now: Timestamp) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Err(error) if error.unavailable => {
                state.failures = state.failures.saturating_add(1);
                if state.failures >= OPENS_AFTER {
                    state.open_until = now.checked_add(OPEN_FOR).ok();
                }
            }
            _ => *state = State::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    #[test]
    fn three_failures_in_a_row_open_it_for_half_a_minute() {
        let at = |second: i64| Timestamp::from_second(1_700_000_000 + second).unwrap();
        let silent = || Err::<(), _>(PortError::unavailable(Operation::Forward, "no answer"));
        let refused = || Err::<(), _>(PortError::new(Operation::Forward, "access denied"));
        let breaker = Breaker::default();
        for end in [silent(), silent(), Ok(()), silent(), silent(), refused(), silent(), silent()] {
            assert!(!breaker.is_open(at(0)));
            breaker.note(&end, at(0));
        }
        assert!(!breaker.is_open(at(0)), "never three in a row");
        breaker.note(&silent(), at(0));
        assert!(breaker.is_open(at(0)) && breaker.is_open(at(29)));
        // then one call tries, and decides for the next half minute
        assert!(!breaker.is_open(at(31)));
        breaker.note(&silent(), at(31));
        assert!(breaker.is_open(at(32)) && breaker.is_open(at(60)));
        breaker.note(&Ok(()), at(62));
        assert!(!breaker.is_open(at(62)));
        breaker.note(&silent(), at(62));
        assert!(!breaker.is_open(at(62)), "closed, it counts from the start");
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let breaker = Breaker::default();
        for _ in 0..3 {
            breaker.note(&Err::<(), _>(PortError::unavailable(Operation::Settle, "no answer")), now);
        }
        assert!(breaker.is_open(now));
        assert!(!breaker.is_open(now - SignedDuration::from_hours(1)));
    }
}
