//! Exponential backoff: how long to wait before a failed operation is retried. All retries with growing delays use it.

use std::time::Duration;

use ring::rand::{SecureRandom, SystemRandom};

/// Delays that grow by a constant factor from one failure to the next, up to a maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    factor: u32,
    has_jitter: bool,
}

impl Backoff {
    /// Doubles from `first` up to `max`.
    #[must_use]
    pub const fn doubling(first: Duration, max: Duration) -> Self {
        Self { first, max, factor: 2, has_jitter: false }
    }

    /// Multiplies by `factor` instead of 2.
    #[must_use]
    pub const fn with_factor(self, factor: u32) -> Self {
        Self { factor, ..self }
    }

    /// Varies each delay at random by up to a quarter in both directions, so that callers that failed together do not retry
    /// together. A delay may exceed the maximum by that quarter.
    #[must_use]
    pub const fn with_jitter(self) -> Self {
        Self { has_jitter: true, ..self }
    }

    /// The delay after this many failures in a row. It is `first` after one failure, and also after none.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = self.factor.checked_pow(failures.saturating_sub(1));
        let delay =
            factor.and_then(|factor| self.first.checked_mul(factor)).unwrap_or(self.max).min(self.max);
        if self.has_jitter { delay * random_per_mille() / 1000 } else { delay }
    }
}

/// When to retry and when to give up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    pub backoff: Backoff,
    /// The number of tries, the first included. `None` means unlimited.
    pub max_tries: Option<u32>,
}

impl RetryPolicy {
    /// The delay before the next try, after `failures` tries have failed; none if no other try is allowed.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Option<Duration> {
        let is_exhausted = self.max_tries.is_some_and(|max| failures >= max);
        (!is_exhausted).then(|| self.backoff.delay(failures))
    }
}

/// A random number from 750 to 1250. If the operating system's random number generator fails, 1000, which means no jitter.
fn random_per_mille() -> u32 {
    let mut bytes = [0; 4];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => 750 + u32::from_le_bytes(bytes) % 501,
        Err(_) => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(backoff: Backoff, failures: impl IntoIterator<Item = u32>) -> Vec<u64> {
        failures.into_iter().map(|failures| backoff.delay(failures).as_secs()).collect()
    }

    #[test]
    fn delays_double_up_to_the_maximum() {
        let backoff = Backoff::doubling(SECOND, Duration::from_secs(10));
        assert_eq!(seconds(backoff, 0..=6), [1, 1, 2, 4, 8, 10, 10]);
    }

    #[test]
    fn a_factor_replaces_doubling() {
        let backoff = Backoff::doubling(SECOND, Duration::from_secs(100)).with_factor(3);
        assert_eq!(seconds(backoff, 1..=6), [1, 3, 9, 27, 81, 100]);
    }

    #[test]
    fn large_numbers_of_failures_yield_the_maximum_without_overflow() {
        let backoff = Backoff::doubling(SECOND, Duration::from_hours(1));
        assert_eq!(seconds(backoff, [13, 33, 1000, u32::MAX]), [3600; 4]);
    }

    #[test]
    fn jitter_stays_within_a_quarter_and_differs_between_delays() {
        let backoff = Backoff::doubling(SECOND, SECOND * 8).with_jitter();
        let delays: Vec<_> = (0..200).map(|_| backoff.delay(3)).collect();
        assert!(delays.iter().all(|delay| (SECOND * 3..=SECOND * 5).contains(delay)), "{delays:?}");
        assert!(delays.iter().any(|delay| *delay != delays[0]));
    }

    #[test]
    fn a_policy_gives_up_after_its_last_try() {
        let backoff = Backoff::doubling(SECOND, SECOND * 2);
        let limited = RetryPolicy { backoff, max_tries: Some(3) };
        assert_eq!(
            [1, 2, 3, 4].map(|failures| limited.delay(failures)),
            [Some(SECOND), Some(SECOND * 2), None, None]
        );
        let endless = RetryPolicy { backoff, max_tries: None };
        assert_eq!(endless.delay(u32::MAX), Some(SECOND * 2));
    }
}
