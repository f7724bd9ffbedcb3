//! How much one client may have under way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What a client has under way.
#[derive(Default)]
pub(crate) struct Slots {
    /// Calls with one answer.
    requests: AtomicUsize,
    /// Calls that stay open: subscriptions, sessions.
    streams: AtomicUsize,
}

/// Which of the two a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It has one answer.
    Request,
    /// It stays open.
    Stream,
}

/// The place of one call; free again when it is dropped.
pub(crate) struct Slot {
    slots: Arc<Slots>,
    kind: Kind,
}

impl Slots {
    /// A place for a call, unless there are `limit` already.
    pub(crate) fn take(self: &Arc<Self>, kind: Kind, limit: usize) -> Option<Slot> {
        let taken = self.of(kind).fetch_add(1, Ordering::Relaxed);
        let slot = Slot { slots: self.clone(), kind };
        (taken < limit).then_some(slot)
    }

    fn of(&self, kind: Kind) -> &AtomicUsize {
        match kind {
            Kind::Request => &self.requests,
            Kind::Stream => &self.streams,
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.slots.of(self.kind).fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_free_again_when_a_call_has_ended_and_kinds_do_not_mix() {
        let slots = Arc::new(Slots::default());
        let first = slots.take(Kind::Request, 2).unwrap();
        let second = slots.take(Kind::Request, 2);
        assert!(second.is_some() && slots.take(Kind::Request, 2).is_none());
        assert!(slots.take(Kind::Stream, 1).is_some(), "streams are counted for themselves");
        drop(first);
        assert!(slots.take(Kind::Request, 2).is_some());
    }
}
