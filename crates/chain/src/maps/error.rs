use std::io;

use thiserror::Error;

use crate::{
    crypto::SealError, format::FormatError, snapshot::SnapshotError, store::StoreError, writer::LedgerError,
};

/// Why maps could not be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MapsError {
    /// The chunk files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file of the index.
    #[error("a file of the index could not be used")]
    File(#[from] io::Error),
    /// An entry.
    #[error("an entry cannot be read")]
    Format(#[from] FormatError),
    /// A private map.
    #[error("a private map cannot be decrypted")]
    Seal(#[from] SealError),
    /// The keys.
    #[error(transparent)]
    Keys(#[from] LedgerError),
    /// The snapshot with which the index begins.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Earlier states and the history of keys need chunks that are gone.
    #[error(
        "entries before {first} are not in the ledger's folder, only the state after them; put their chunks back for more"
    )]
    Gone {
        /// The first entry that is there.
        first: u64,
    },
    /// There is no secret.
    #[error("the ledger secret for entry {seqno} is missing")]
    NoSecret {
        /// The entry.
        seqno: u64,
    },
    /// The index does not fit the ledger.
    #[error("the index is wrong about entry {seqno}: remove the folder `index`, it will be built again")]
    Index {
        /// The entry.
        seqno: u64,
    },
    /// Another process works on the index.
    #[error("another process has been working on the index for ten minutes")]
    Busy,
}
