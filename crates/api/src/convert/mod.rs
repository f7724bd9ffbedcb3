//! Messages to the types of `ledger-streams` and back.
//!
//! What comes from a client is checked and fails with a [`RequestError`](crate::status::RequestError); what comes from
//! a daemon fails with [`MalformedAnswer`]. Bounds on sizes are left to the store.

mod append;
mod entry;
mod page;
mod subscribe;
mod time;

pub use append::{annotation_changes, append_request, appended, into_append, into_appended};
pub use entry::{EntryMessages, damaged, into_damaged, into_entry, into_stat, stat};
pub use page::{CLASSIC_MESSAGE_BYTES, PageMessage, PageRequest, into_filter, into_page, read_options};
pub use subscribe::{into_events, into_position, subscribe_responses};
pub use time::timestamp;

use ledger_streams::{EntryId, InvalidCursor};

/// An answer of a daemon that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the daemon sent {what}: {reason}; is it a Ledger daemon, and does its store have ids of this type?")]
pub struct MalformedAnswer {
    /// Which part of the answer.
    pub what: &'static str,
    /// What is wrong with it.
    pub reason: String,
}

/// An id in a request; an empty one is none.
fn optional_id<Id: EntryId>(text: &str) -> Result<Option<Id>, InvalidCursor> {
    if text.is_empty() { Ok(None) } else { Id::parse(text).map(Some) }
}

/// An id in an answer.
pub(crate) fn answered_id<Id: EntryId>(text: &str) -> Result<Id, MalformedAnswer> {
    Id::parse(text).map_err(|error| MalformedAnswer { what: "an id", reason: error.to_string() })
}

/// A number in a message. Sizes on this side fit; a peer could send any.
fn wire_count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
