//! Why a lock was not taken, or not kept.

use std::io;
use std::path::PathBuf;

/// What stood in the way at the last attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// A holder that shows signs of life.
    Live,
    /// An orphan that could not be removed.
    StaleUnlinkFailed,
}

/// A lock that could not be taken, or was lost.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// One holder kept it for the whole time.
    #[error(
        "could not acquire lock after {attempts} attempts (~{budget_ms}ms) - {}: {}",
        match held {
            Held::Live => "held by live process",
            Held::StaleUnlinkFailed => "lock appears stale but unlink kept failing",
        },
        path.display()
    )]
    Timeout {
        /// How often it was tried.
        attempts: u32,
        /// How long that is meant to take, in milliseconds.
        budget_ms: u128,
        /// What stood in the way.
        held: Held,
        /// The lock file.
        path: PathBuf,
    },
    /// The lock file could not be created, for another reason than that it exists.
    #[error(transparent)]
    File(#[from] io::Error),
    /// Another program removed the lock while it was held; nothing of the work under way was made visible.
    #[error("the lock was taken by another program while it was held; run the command again: {}", path.display())]
    Lost {
        /// The lock file.
        path: PathBuf,
    },
}
