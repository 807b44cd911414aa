//! The switch with which a person stops all decisions about payments, without a deployment.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::{PortError, Verdict};

/// How old a reading of the switch may be when a payment is decided. A person who stops the decisions waits at most
/// this long, and the time of one delivery.
pub const READING_AT_MOST: SignedDuration = SignedDuration::from_secs(45);

/// How old a reading may be after a reply. Then it is read again, so that a payment rarely has to wait for it.
const REFRESH_AFTER: SignedDuration = SignedDuration::from_secs(20);

/// The reason of a rejection while decisions are stopped.
pub const DECISIONS_STOPPED: &str = "decisions_stopped";

/// The verdict about every payment while decisions are stopped.
pub(crate) fn stopped() -> Verdict {
    Verdict::Reject {
        reason: DECISIONS_STOPPED.to_owned(),
        message: "Payments are not accepted at the moment.".to_owned(),
    }
}

/// Something that knows whether decisions are stopped.
pub trait Control: Send + Sync {
    /// Whether they are.
    ///
    /// # Errors
    /// [`PortError`] when nothing was read `within` this time.
    fn is_stopped(&self, within: Duration) -> impl Future<Output = Result<bool, PortError>> + Send;
}

impl<C: Control> Control for Arc<C> {
    fn is_stopped(&self, within: Duration) -> impl Future<Output = Result<bool, PortError>> + Send {
        C::is_stopped(self, within)
    }
}

/// The switch, with its last reading.
#[derive(Debug)]
pub struct Switch<C> {
    control: C,
    last: Mutex<Option<Reading>>,
    /// How many readings were begun.
    begun: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Reading {
    is_stopped: bool,
    /// When reading it began.
    at: Timestamp,
    /// Its place among all readings. The clock can be set back.
    number: u64,
}

impl<C: Control> Switch<C> {
    /// The switch, which is read when it is first needed.
    pub const fn new(control: C) -> Self {
        Self { control, last: Mutex::new(None), begun: AtomicU64::new(0) }
    }

    /// Whether decisions are stopped, by a reading that is at most [`READING_AT_MOST`] old.
    pub(crate) async fn is_stopped(&self, now: Timestamp, within: Duration) -> Result<bool, PortError> {
        match self.last().filter(|last| last.is_fresh(now, READING_AT_MOST)) {
            Some(last) => Ok(last.is_stopped),
            None => self.read(now, within).await,
        }
    }

    /// Reads the switch before anything needs it. A reading that fails is repeated when a payment needs it.
    pub async fn load(&self, now: Timestamp, within: Duration) {
        let _ = self.read(now, within).await;
    }

    /// Reads the switch again if its last reading gets old. A function that has never needed it never reads it. A
    /// reading that fails is repeated when a payment needs it.
    pub async fn refresh(&self, now: Timestamp, within: Duration) {
        if self.last().is_some_and(|last| !last.is_fresh(now, REFRESH_AFTER)) {
            let _ = self.read(now, within).await;
        }
    }

    async fn read(&self, now: Timestamp, within: Duration) -> Result<bool, PortError> {
        let number = self.begun.fetch_add(1, Ordering::SeqCst);
        let is_stopped = self.control.is_stopped(within).await?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // Of two readings at once the one that began later counts.
        if last.is_none_or(|last| last.number < number) {
            *last = Some(Reading { is_stopped, at: now, number });
        }
        Ok(is_stopped)
    }

    fn last(&self) -> Option<Reading> {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// A reading in the future is none: the clock was set back.
    fn is_fresh(self, now: Timestamp, at_most: SignedDuration) -> bool {
        (SignedDuration::ZERO..at_most).contains(&self.at.duration_until(now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize};

    use super::*;
    use crate::Operation;

    #[derive(Default)]
    struct Counted {
        is_stopped: AtomicBool,
        fails: AtomicBool,
        reads: AtomicUsize,
    }

    impl Control for &Counted {
        async fn is_stopped(&self, _within: Duration) -> Result<bool, PortError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            if self.fails.load(Ordering::SeqCst) {
                return Err(PortError::new(Operation::Control, "no answer"));
            }
            Ok(self.is_stopped.load(Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn a_reading_is_used_until_it_is_old() {
        const WITHIN: Duration = Duration::from_secs(1);
        let control = Counted::default();
        let switch = Switch::new(&control);
        let at = |seconds: i64| Timestamp::from_second(1_000_000 + seconds).unwrap();
        let reads = || control.reads.load(Ordering::SeqCst);

        switch.refresh(at(0), WITHIN).await;
        assert_eq!(reads(), 0, "a function that decides nothing reads nothing");
        assert!(!switch.is_stopped(at(0), WITHIN).await.unwrap());
        control.is_stopped.store(true, Ordering::SeqCst);
        switch.refresh(at(19), WITHIN).await;
        assert!(!switch.is_stopped(at(44), WITHIN).await.unwrap());
        assert_eq!(reads(), 1);
        assert!(switch.is_stopped(at(45), WITHIN).await.unwrap(), "within a minute it is seen");

        // after a reply, and before it is too old
        control.is_stopped.store(false, Ordering::SeqCst);
        switch.refresh(at(65), WITHIN).await;
        assert!(!switch.is_stopped(at(66), WITHIN).await.unwrap());
        assert_eq!(reads(), 3);

        // A reading that fails changes nothing until the last one is too old, and then it is an error.
        control.fails.store(true, Ordering::SeqCst);
        switch.refresh(at(90), WITHIN).await;
        assert!(!switch.is_stopped(at(100), WITHIN).await.unwrap());
        assert!(switch.is_stopped(at(110), WITHIN).await.is_err());
        // The clock was set back.
        assert!(switch.is_stopped(at(0), WITHIN).await.is_err());

        // A reading from the time when the clock was ahead does not come back when the clock reaches that time.
        control.fails.store(false, Ordering::SeqCst);
        assert!(!switch.is_stopped(at(3600), WITHIN).await.unwrap());
        control.is_stopped.store(true, Ordering::SeqCst);
        assert!(switch.is_stopped(at(200), WITHIN).await.unwrap());
        assert!(switch.is_stopped(at(3601), WITHIN).await.unwrap());
    }
}
