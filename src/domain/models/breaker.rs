//! A circuit breaker: after several failures in a row, a model is not called for a while, so that not every reply waits for the
//! model's timeout. After that, one call at a time tests whether the model works again.
//!
//! ```text
//!  closed ──── 3 failures in a row ────► open ──── 30 s ────► half-open: one call may try
//!    ▲                                    ▲                       │          │
//!    └────────────────────────────────────┼──── success ──────────┘          │
//!                                         └──── failure, or no result ───────┘
//! ```

use chrono::TimeDelta;
use entity::Timestamp;

/// How many failures in a row open the breaker.
const FAILURES_TO_OPEN: u32 = 3;
const OPEN_FOR: TimeDelta = TimeDelta::seconds(30);

#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// Failures since the last success.
    failures: u32,
    /// From when on a call may test the model; none while the breaker is closed.
    retry_at: Option<Timestamp>,
}

impl Breaker {
    /// Whether a call may be made now. A half-open breaker admits one call. It admits further calls after that one has succeeded,
    /// or another one after 30 seconds, because a call that is cancelled never reports a result.
    pub(super) fn try_admit(&mut self, now: Timestamp) -> bool {
        match &mut self.retry_at {
            None => true,
            Some(retry_at) if now < *retry_at => false,
            Some(retry_at) => {
                *retry_at = now + OPEN_FOR;
                true
            }
        }
    }

    /// Closes the breaker. Returns whether it was open.
    pub(super) fn record_success(&mut self) -> bool {
        std::mem::take(self).retry_at.is_some()
    }

    /// Counts a failure. Returns whether it opened the breaker.
    pub(super) fn record_failure(&mut self, now: Timestamp) -> bool {
        self.failures = self.failures.saturating_add(1);
        let is_open = self.failures >= FAILURES_TO_OPEN;
        let was_open = self.retry_at.is_some();
        if is_open {
            self.retry_at = Some(now + OPEN_FOR);
        }
        is_open && !was_open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_timestamp_secs(1_800_000_000 + seconds).unwrap()
    }

    fn open_breaker() -> Breaker {
        let mut breaker = Breaker::default();
        assert!((0..3).any(|_| breaker.record_failure(at(0))));
        breaker
    }

    #[test]
    fn three_failures_in_a_row_open_the_breaker_and_a_success_resets_their_count() {
        let mut breaker = Breaker::default();
        assert!(!breaker.record_failure(at(0)) && !breaker.record_failure(at(1)));
        assert!(!breaker.record_success());
        assert!(!breaker.record_failure(at(2)) && !breaker.record_failure(at(3)));
        assert!(breaker.try_admit(at(3)));
        assert!(breaker.record_failure(at(4)));
        assert!(!breaker.try_admit(at(4)) && !breaker.try_admit(at(33)));
    }

    #[test]
    fn a_half_open_breaker_admits_one_call_whose_result_opens_or_closes_it() {
        let mut breaker = open_breaker();
        assert!(breaker.try_admit(at(30)) && !breaker.try_admit(at(30)));
        assert!(!breaker.record_failure(at(31)), "the breaker was already open");
        assert!(!breaker.try_admit(at(60)) && breaker.try_admit(at(61)));
        assert!(breaker.record_success());
        assert!(breaker.try_admit(at(61)) && breaker.try_admit(at(61)));
    }

    #[test]
    fn a_call_without_a_result_blocks_a_half_open_breaker_for_thirty_seconds() {
        let mut breaker = open_breaker();
        assert!(breaker.try_admit(at(30)) && !breaker.try_admit(at(59)) && breaker.try_admit(at(60)));
    }
}
