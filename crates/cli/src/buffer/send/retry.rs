//! How long to wait before the next attempt, and when to give up.

use std::time::{Duration, Instant};

/// The first wait; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait that is not asked for by the other side.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long failures are put up with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    limit: Duration,
}

/// The attempts at one file.
#[derive(Debug)]
pub(super) struct Attempts {
    until: Instant,
    wait: Duration,
    count: u32,
}

impl Patience {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit }
    }

    pub(super) fn begin(self) -> Attempts {
        let now = Instant::now();
        // An end beyond the end of time is none.
        let until = now.checked_add(self.limit).unwrap_or(now);
        Attempts { until, wait: FIRST_WAIT, count: 0 }
    }
}

impl Attempts {
    /// An attempt has failed: how long to wait before the next, or none if there is to be none. The other side may ask
    /// for a longer wait.
    pub(super) fn next_wait(&mut self, asked: Option<Duration>) -> Option<Duration> {
        self.count = self.count.saturating_add(1);
        // Half of it is chance, so that clients that failed together do not come back together.
        let chance = f64::from(rand_byte()) / 510.0 + 0.5;
        let wait = asked.unwrap_or(self.wait.mul_f64(chance));
        self.wait = self.wait.saturating_mul(2).min(LONGEST_WAIT);
        let next = Instant::now().checked_add(wait)?;
        (next <= self.until).then_some(wait)
    }

    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

/// Good enough to spread clients.
fn rand_byte() -> u8 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0).to_le_bytes()[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_end_with_the_patience() {
        let mut attempts = Patience::new(Duration::from_secs(3600)).begin();
        let waits: Vec<_> = (0..12).map(|_| attempts.next_wait(None).unwrap()).collect();
        for (attempt, wait) in waits.iter().enumerate() {
            let full = FIRST_WAIT.saturating_mul(1 << attempt).min(LONGEST_WAIT);
            assert!((full / 2..=full).contains(wait), "{attempt}: {wait:?}");
        }
        assert_eq!(attempts.count(), 12);
        assert_eq!(Patience::new(Duration::ZERO).begin().next_wait(None), None);
    }

    #[test]
    fn the_other_side_may_ask_for_a_wait() {
        let asked = Some(Duration::from_secs(7));
        let mut attempts = Patience::new(Duration::from_secs(10)).begin();
        assert_eq!(attempts.next_wait(asked), asked);
        assert_eq!(attempts.next_wait(Some(Duration::from_secs(3600))), None);
    }
}
