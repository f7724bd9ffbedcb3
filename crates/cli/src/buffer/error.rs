//! What can go wrong with a buffer, and what to do about it.

use std::io;
use std::path::PathBuf;

use ledger_buffer::{AppendError, FetchError, OpenError, RemoveError};

/// A command on a buffer failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BufferError {
    /// The folder is not there.
    #[error("cannot open the folder {}: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The settings make no sense, or the folder cannot be listed.
    #[error(transparent)]
    Open(OpenError),
    /// A line of the input is no record.
    #[error("line {line}: {problem}; {appended} records were appended, those of the lines before it")]
    BadLine {
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: String,
        /// Records that were appended.
        appended: u64,
    },
    /// The records could not be appended.
    #[error("{source}; {appended} records were appended before")]
    Append {
        /// Why.
        source: AppendError,
        /// Records that were appended.
        appended: u64,
    },
    /// Files could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was sent could not be removed, and will be sent again.
    #[error("what was sent could not be removed, and would be sent again: {0}")]
    Remove(#[from] RemoveError),
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// `verify` found damage.
    #[error("{files} of {of} files are damaged; `ledger buffer salvage` prints what is intact in them")]
    Damaged {
        /// Damaged files.
        files: u64,
        /// All files.
        of: u64,
    },
    /// The endpoint refused a file.
    #[error("{} was refused with status {status}, and stays: {answer}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// The HTTP status.
        status: u16,
        /// The beginning of what the endpoint answered.
        answer: String,
    },
    /// The endpoint or the daemon could not be reached in time.
    #[error("{} could not be sent and stays: {reason} (gave up after {attempts} attempts)", file.display())]
    GaveUp {
        /// The file.
        file: PathBuf,
        /// The last failure.
        reason: String,
        /// How many attempts there were.
        attempts: u32,
    },
    /// The daemon refused records.
    #[error("{} could not be appended to the stream and stays: {source}", file.display())]
    Stream {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<ledger_streams::StoreError>,
    },
    /// A batch of the older store has no records that could be appended to a stream.
    #[error(
        "{} is a ready-made batch of the older store, not records; send it with --url, or move it away",
        file.display()
    )]
    ReadyMade {
        /// The file.
        file: PathBuf,
    },
}
