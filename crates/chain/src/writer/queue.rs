use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{Appended, LedgerError, Prepared};
use crate::snapshot::{Built, SnapshotError};

/// Appends that wait for the writer; bounded by count and bytes.
#[derive(Debug)]
pub(super) struct Queue {
    state: Mutex<State>,
    filled: Condvar,
    emptied: Condvar,
    max_entries: usize,
    max_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<Waiting>,
    bytes: usize,
    sign: Vec<Arc<Reply>>,
    built: Option<Result<Built, SnapshotError>>,
    closed: bool,
}

/// An append that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) entry: Prepared,
    pub(super) reply: Arc<Reply>,
}

/// What the writer has to do.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub(super) appends: Vec<Waiting>,
    pub(super) sign: Vec<Arc<Reply>>,
    /// A snapshot that was written beside.
    pub(super) built: Option<Result<Built, SnapshotError>>,
    pub(super) closed: bool,
}

/// Where the writer puts its answer.
#[derive(Debug, Default)]
pub(super) struct Reply {
    answer: Mutex<Option<Result<Appended, LedgerError>>>,
    answered: Condvar,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reply {
    pub(super) fn answer(&self, result: Result<Appended, LedgerError>) {
        *lock(&self.answer) = Some(result);
        self.answered.notify_one();
    }

    pub(super) fn wait(&self) -> Result<Appended, LedgerError> {
        let mut answer = lock(&self.answer);
        loop {
            if let Some(result) = answer.take() {
                return result;
            }
            answer = self.answered.wait(answer).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Queue {
    pub(super) fn new(max_entries: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::default(),
            filled: Condvar::new(),
            emptied: Condvar::new(),
            max_entries: max_entries.max(1),
            max_bytes,
        }
    }

    /// Queues appends in order; waits for room.
    pub(super) fn push(&self, entry: Prepared) -> Result<Arc<Reply>, LedgerError> {
        let bytes = entry.bytes();
        let mut state = lock(&self.state);
        // One entry always fits, however large.
        while !state.closed
            && !state.waiting.is_empty()
            && (state.waiting.len() >= self.max_entries || state.bytes.saturating_add(bytes) > self.max_bytes)
        {
            state = self.emptied.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return Err(LedgerError::Closed);
        }
        let reply = Arc::new(Reply::default());
        state.bytes = state.bytes.saturating_add(bytes);
        state.waiting.push(Waiting { entry, reply: Arc::clone(&reply) });
        self.filled.notify_one();
        Ok(reply)
    }

    /// Asks for a signature over everything queued so far.
    pub(super) fn sign(&self) -> Result<Arc<Reply>, LedgerError> {
        let mut state = lock(&self.state);
        if state.closed {
            return Err(LedgerError::Closed);
        }
        let reply = Arc::new(Reply::default());
        state.sign.push(Arc::clone(&reply));
        self.filled.notify_one();
        Ok(reply)
    }

    /// Hands in a snapshot.
    pub(super) fn put_built(&self, built: Result<Built, SnapshotError>) {
        lock(&self.state).built = Some(built);
        self.filled.notify_one();
    }

    /// No more appends; the writer finishes what waits.
    pub(super) fn close(&self) {
        lock(&self.state).closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    pub(super) fn is_closed(&self) -> bool {
        lock(&self.state).closed
    }

    /// Takes all that waits; waits for something until `deadline`. If a snapshot is still being written, a closed queue waits for
    /// that too.
    pub(super) fn take(&self, deadline: Option<Instant>, snapshot_taken: bool) -> Work {
        let mut state = lock(&self.state);
        while state.waiting.is_empty()
            && state.sign.is_empty()
            && state.built.is_none()
            && (!state.closed || snapshot_taken)
        {
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.filled.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => break,
                Some(left) => self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        let state = &mut *state;
        state.bytes = 0;
        self.emptied.notify_all();
        Work {
            appends: std::mem::take(&mut state.waiting),
            sign: std::mem::take(&mut state.sign),
            built: state.built.take(),
            closed: state.closed,
        }
    }
}
