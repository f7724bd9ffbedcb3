//! What may be tried again, and when.

use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, ConnectError, Status};

use crate::proto::error_detail::Fact;
use crate::status::detail_in;

const FIRST_WAIT: Duration = Duration::from_millis(50);
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// How far a request came that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// There was no connection to send it on.
    NotSent,
    /// The connection broke, or nobody answered in time: it may have been carried out.
    Unknown,
    /// The daemon, or something before it, refused it.
    Answered,
}

/// How far a request came that ended with this status. A status without a source came over the wire.
pub(super) fn fate(status: &Status) -> Fate {
    let Some(mut cause) = status.source() else { return Fate::Answered };
    loop {
        if cause.is::<ConnectError>() {
            return Fate::NotSent;
        }
        match cause.source() {
            Some(source) => cause = source,
            None => return Fate::Unknown,
        }
    }
}

/// Whether an operation does harm if it is carried out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It does not.
    Harmless,
    /// It does: try again only what has surely not been carried out.
    Harmful,
}

impl Repeat {
    /// Whether an operation that failed like this may be tried again, and has a chance.
    pub(super) fn allows(self, status: &Status) -> bool {
        match fate(status) {
            Fate::NotSent => true,
            Fate::Unknown => self == Self::Harmless,
            Fate::Answered if status.code() != Code::Unavailable => false,
            Fate::Answered => match detail_in(status).and_then(|detail| detail.fact) {
                // The daemon is going down and another may come up.
                Some(Fact::Closed(_)) => true,
                // The daemon itself has waited for the lock.
                Some(_) => false,
                None => self == Self::Harmless,
            },
        }
    }
}

/// Growing waits between attempts, with some chance in them so that clients do not come back all at once.
pub(super) struct Backoff {
    wait: Duration,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self { wait: FIRST_WAIT }
    }

    /// The next wait: between half and all of twice the last.
    pub(super) fn next_wait(&mut self) -> Duration {
        let longest = self.wait;
        self.wait = longest.saturating_mul(2).min(LONGEST_WAIT);
        let half = longest / 2;
        let chance = u32::try_from(RandomState::new().build_hasher().finish() % 1024).unwrap_or_default();
        half.saturating_add(half.saturating_mul(chance) / 1024)
    }

    /// Waits before another attempt; `false` if it would begin after the deadline.
    pub(super) async fn wait_until(&mut self, deadline: Instant) -> bool {
        let wait = self.next_wait();
        if Instant::now() + wait > deadline {
            return false;
        }
        tokio::time::sleep(wait).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use ledger_streams::{Locked, StoreClosed};

    use super::*;
    use crate::status::to_status;

    fn broken(cause: impl Error + Send + Sync + 'static) -> Status {
        Status::from_error(Box::new(cause))
    }

    #[test]
    fn only_what_was_surely_not_carried_out_is_repeated_at_any_price() {
        let not_sent = broken(ConnectError("refused".into()));
        let unknown = broken(std::io::Error::other("reset"));
        let closed = to_status(&StoreClosed { store: "s".into() }.into());
        let locked = to_status(&Locked { database: "d".into(), waited_ms: 1 }.into());
        let proxy = Status::unavailable("no healthy upstream");
        let denied = Status::permission_denied("no");
        let cases = [
            (&not_sent, true, true),
            (&unknown, true, false),
            (&closed, true, true),
            (&locked, false, false),
            (&proxy, true, false),
            (&denied, false, false),
        ];
        for (status, harmless, harmful) in cases {
            assert_eq!(Repeat::Harmless.allows(status), harmless, "{status:?}");
            assert_eq!(Repeat::Harmful.allows(status), harmful, "{status:?}");
        }
    }

    #[test]
    fn waits_grow_up_to_a_bound() {
        let mut backoff = Backoff::new();
        let mut longest = FIRST_WAIT;
        for _ in 0..20 {
            let wait = backoff.next_wait();
            assert!(wait >= longest / 2 && wait <= longest, "{wait:?}");
            longest = (longest * 2).min(LONGEST_WAIT);
        }
        assert_eq!(longest, LONGEST_WAIT);
    }
}
