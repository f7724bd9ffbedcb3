//! What a failed call means to the caller.

use ledger_streams::{
    Backend, EntryNotFound, InvalidCursor, NotSupported, ReadOnly, StoreClosed, StoreError, StreamExists,
    StreamNotFound,
};
use tonic::{Code, Status};

use super::builder::innermost;
use super::connection::Connection;
use super::retry::{Fate, fate};
use crate::convert::MalformedAnswer;
use crate::status::{detail_in, from_detail};

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call<'a> {
    /// Its name.
    pub(super) operation: &'static str,
    /// The stream; the old name for a rename.
    pub(super) stream: &'a str,
    pub(super) target: Target<'a>,
    /// Whether it changes anything.
    pub(super) writes: bool,
    /// Whether its answers go on after the first, so that no time limit may travel with it.
    pub(super) stays_open: bool,
}

/// What of the stream was asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Target<'a> {
    /// The stream as a whole.
    Stream,
    /// One entry of it.
    Entry(&'a str),
    /// Its new name.
    NewName(&'a str),
}

impl<'a> Call<'a> {
    pub(super) fn read(operation: &'static str, stream: &'a str) -> Self {
        Self { operation, stream, target: Target::Stream, writes: false, stays_open: false }
    }

    pub(super) fn write(operation: &'static str, stream: &'a str) -> Self {
        Self { operation, stream, target: Target::Stream, writes: true, stays_open: false }
    }

    pub(super) fn open(operation: &'static str, stream: &'a str) -> Self {
        Self { stays_open: true, ..Self::read(operation, stream) }
    }

    pub(super) fn on(self, target: Target<'a>) -> Self {
        Self { target, ..self }
    }
}

impl Connection {
    /// The error for a call that ended with this status.
    pub(super) fn explain(&self, call: &Call<'_>, status: Status) -> StoreError {
        let detail = detail_in(&status);
        let typed = detail.and_then(|detail| from_detail(detail, self.store.as_str(), &self.database()));
        match typed.or_else(|| self.said_by_original(call, &status)) {
            // Entries of an unknown stream are not found either; daemons say it in one way or the other.
            Some(StoreError::StreamNotFound(_)) if matches!(call.target, Target::Entry(_)) => {
                self.entry_not_found(call)
            }
            Some(error) => error,
            None => self.failed(call, status),
        }
    }

    /// The error for an answer that cannot be understood.
    pub(super) fn malformed(&self, call: &Call<'_>, error: MalformedAnswer) -> StoreError {
        Backend {
            backend: "daemon",
            step: format!("{} on {}", call.operation, self.database()),
            advice: error.to_string(),
            outcome_unknown: call.writes,
            source: Some(Box::new(error)),
        }
        .into()
    }

    /// What errors call the database behind the daemon.
    fn database(&self) -> String {
        format!("store {} at {}", self.store, self.address)
    }

    fn entry_not_found(&self, call: &Call<'_>) -> StoreError {
        let id = if let Target::Entry(id) = call.target { id.to_owned() } else { String::new() };
        EntryNotFound { id, stream: call.stream.to_owned(), store: self.store.to_string() }.into()
    }

    /// What a status without facts means if it comes from the original (specification §5.5).
    fn said_by_original(&self, call: &Call<'_>, status: &Status) -> Option<StoreError> {
        if fate(status) != Fate::Answered {
            return None;
        }
        let (stream, store) = (|| call.stream.to_owned(), || self.store.to_string());
        Some(match (status.code(), call.target) {
            (Code::NotFound, Target::Entry(_)) => self.entry_not_found(call),
            (Code::NotFound, Target::NewName(_)) => {
                StreamNotFound { stream: stream(), store: store() }.into()
            }
            (Code::AlreadyExists, Target::NewName(name)) => {
                StreamExists { stream: name.to_owned(), store: store() }.into()
            }
            (Code::Unimplemented, _) => NotSupported { operation: call.operation, store: store() }.into(),
            (Code::FailedPrecondition, _) if status.message() == "stream is read-only" => {
                ReadOnly { store: store() }.into()
            }
            (Code::Unavailable, _) if status.message() == "store closed" => {
                StoreClosed { store: store() }.into()
            }
            (Code::InvalidArgument, Target::Entry(id))
                if status.message().starts_with("ledger: invalid cursor") =>
            {
                InvalidCursor { text: id.to_owned(), expected: "an id of this store" }.into()
            }
            _ => return None,
        })
    }

    fn failed(&self, call: &Call<'_>, status: Status) -> StoreError {
        let fate = fate(&status);
        let refused = matches!(
            status.code(),
            Code::InvalidArgument
                | Code::Unauthenticated
                | Code::PermissionDenied
                | Code::OutOfRange
                | Code::ResourceExhausted
        );
        let outcome_unknown = call.writes && fate != Fate::NotSent && !(fate == Fate::Answered && refused);
        let mut advice = match fate {
            Fate::NotSent => format!(
                "no daemon answers: {}; start one with `ledger start`, or name another address",
                innermost(&status)
            ),
            Fate::Unknown => format!("the connection failed: {}", innermost(&status)),
            Fate::Answered => format!("{} ({})", status.message(), status.code()),
        };
        if outcome_unknown {
            advice.push_str(
                "; a write may have happened all the same: repeat only writes that have dedup keys",
            );
        }
        Backend {
            backend: "daemon",
            step: format!("{} on {}", call.operation, self.database()),
            advice,
            outcome_unknown,
            source: Some(Box::new(status)),
        }
        .into()
    }
}
