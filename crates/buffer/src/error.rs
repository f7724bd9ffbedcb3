//! What can go wrong, one enum per family of operations.

use std::io;
use std::path::PathBuf;

/// A store cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The request wants at least 100 bytes per file.
    #[error("max_file_size is {bytes} bytes; it must be at least {least}")]
    FileSize {
        /// What was asked for.
        bytes: usize,
        /// The smallest size.
        least: usize,
    },
    /// Records of this size do not fit the format.
    #[error("max_record_size is {bytes} bytes; it must be between 1 and {most}")]
    RecordSize {
        /// What was asked for.
        bytes: usize,
        /// The largest size: the length field has 32 bits.
        most: u32,
    },
    /// Files cannot be called like this.
    #[error("base_filename {name:?} cannot be used: {reason}")]
    BaseFilename {
        /// What was asked for.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// The folder cannot be made or listed.
    #[error(transparent)]
    Folder(#[from] io::Error),
}

/// Records were not appended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// A payload of no bytes. Nothing was written.
    #[error("record {index} of the batch has an empty payload, which the format cannot hold")]
    Empty {
        /// Its position in the batch, from 0.
        index: usize,
    },
    /// A payload over the limit. Nothing was written.
    #[error("record {index} of the batch has {bytes} bytes, over max_record_size of {limit}")]
    TooLarge {
        /// Its position in the batch, from 0.
        index: usize,
        /// Size of its payload in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: u32,
    },
    /// A batch that is too large for one write. Nothing was written.
    #[error("the batch has {bytes} bytes, over the limit of {limit} for one write; split it")]
    BatchTooLarge {
        /// Size of all records in bytes, their headers included.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The folder holds all that it may hold (hole H6). Nothing was written.
    #[error(
        "{} is full: {used} bytes are there and {needed} more do not fit into max_total_size of {limit}; \
         send and remove what is there, or raise the limit", folder.display()
    )]
    Full {
        /// The folder.
        folder: PathBuf,
        /// Bytes that are there, in the quarantine too.
        used: u64,
        /// Bytes that were to be added.
        needed: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// All indices up to the largest 32-bit number were used. Nothing was written.
    #[error("{} has a file with the highest possible index; send and remove the files that are there", folder.display())]
    IndicesExhausted {
        /// The folder.
        folder: PathBuf,
    },
    /// Every index that was tried is taken. Nothing was written.
    #[error("no new file could be made in {}: {attempts} names in a row were taken", folder.display())]
    NamesTaken {
        /// The folder.
        folder: PathBuf,
        /// How many names were tried.
        attempts: u32,
    },
    /// No new file could be made. Nothing was written.
    #[error("no new file could be made: {0}")]
    Create(#[source] io::Error),
    /// The write failed (hole H1). The file was closed, and the next append begins another one.
    #[error("{source}{}", if *.cut_back { "" } else { " (and part of it may be left at the end of the file)" })]
    Write {
        /// Whether the file was cut back to its former end, so that nothing of these records is left. If not, records of
        /// the batch that are whole will be sent, and what is not whole is passed over.
        cut_back: bool,
        /// Why.
        source: io::Error,
    },
    /// A sync has failed, so whether the records of its file survive a power cut is unknown (hole H12). The file was
    /// closed, and no later sync speaks for it. Its records will be sent all the same unless the power fails, so
    /// appending them again may send them twice.
    #[error("records may not survive a power cut{}: {source}", if *.written { "" } else { ", and none was appended" })]
    Sync {
        /// Whether the records of this call are among those. If not, the failure is that of an earlier sync in the
        /// background, and nothing of this call was written.
        written: bool,
        /// Why.
        source: io::Error,
    },
}

/// Files could not be fetched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The folder cannot be listed, or none of its files can be opened.
    #[error(transparent)]
    Folder(#[from] io::Error),
    /// The caller's `header` or `footer` panicked (hole H9). The store is as it was.
    #[error("the {callback} callback panicked; the files stay where they are")]
    Callback {
        /// `header` or `footer`.
        callback: &'static str,
    },
}

/// Files could not be removed. All others of the call were.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoveError {
    /// The name means another file by now (hole H10); that one was left alone. The fetched one is gone already.
    #[error("{} is another file than the one that was fetched, so it was not removed", path.display())]
    Replaced {
        /// The name.
        path: PathBuf,
    },
    /// The item was not returned by `fetch()` of such a store. Only through `transientdb`, where items are untyped.
    #[error("an item was not returned by fetch(), so it was not removed: {item}")]
    Foreign {
        /// What it shows of itself.
        item: String,
    },
    /// The file cannot be deleted, or not be moved to the quarantine.
    #[error(transparent)]
    File(#[from] io::Error),
}

// So that code which returns `io::Error`, as `transientdb`'s does, can use `?`.

impl From<OpenError> for io::Error {
    fn from(error: OpenError) -> Self {
        let kind = match &error {
            OpenError::Folder(source) => source.kind(),
            _ => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}

impl From<AppendError> for io::Error {
    fn from(error: AppendError) -> Self {
        let kind = match &error {
            AppendError::Empty { .. } | AppendError::TooLarge { .. } | AppendError::BatchTooLarge { .. } => {
                io::ErrorKind::InvalidInput
            }
            AppendError::Full { .. } => io::ErrorKind::QuotaExceeded,
            AppendError::IndicesExhausted { .. } | AppendError::NamesTaken { .. } => {
                io::ErrorKind::AlreadyExists
            }
            AppendError::Create(source)
            | AppendError::Write { source, .. }
            | AppendError::Sync { source, .. } => source.kind(),
        };
        Self::new(kind, error)
    }
}

impl From<FetchError> for io::Error {
    fn from(error: FetchError) -> Self {
        let kind = match &error {
            FetchError::Folder(source) => source.kind(),
            FetchError::Callback { .. } => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

impl From<RemoveError> for io::Error {
    fn from(error: RemoveError) -> Self {
        let kind = match &error {
            RemoveError::File(source) => source.kind(),
            RemoveError::Replaced { .. } | RemoveError::Foreign { .. } => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
