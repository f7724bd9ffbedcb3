use std::io;

use thiserror::Error;

use crate::{crypto::SealError, format::FormatError, receipt::ReceiptError, store::StoreError};

/// Why a snapshot could not be taken or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A file of the folder of snapshots.
    #[error("a snapshot file could not be used")]
    File(#[from] io::Error),
    /// The bytes are not what was recorded.
    #[error(
        "{file} is damaged: {reason}. Remove it; another one is taken in time, or by `ledger chain snapshot`"
    )]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// The snapshot is whole, but was taken of another ledger.
    #[error("{file} belongs to another ledger: {reason}")]
    Foreign {
        /// The file.
        file: String,
        /// What does not fit.
        reason: String,
    },
    /// Private maps cannot be read, so their state is not known.
    #[error("the ledger secret for entry {seqno} is missing, so a snapshot would lack private maps")]
    NoSecret {
        /// The entry.
        seqno: u64,
    },
    /// The state is larger than a snapshot may be.
    #[error(
        "the maps take {bytes} bytes, a snapshot holds at most {max}; the ledger goes on without. `ledger chain snapshot` takes one of up to 1 GiB, --max-snapshot-bytes lets writers do so"
    )]
    TooLarge {
        /// What they take.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// Entries that are needed are neither there nor in a snapshot.
    #[error(
        "entries 1 to {before} are not in the ledger's folder, and no snapshot that can be used holds their state"
    )]
    NoState {
        /// The last missing entry.
        before: u64,
    },
    /// One snapshot at a time.
    #[error("a snapshot is being taken already")]
    UnderWay,
    /// The chunk files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry or a snapshot cannot be read.
    #[error("an entry cannot be read")]
    Format(#[from] FormatError),
    /// A private map.
    #[error("a private map cannot be encrypted or decrypted")]
    Seal(#[from] SealError),
    /// The receipt could not be made.
    #[error("the receipt of the snapshot's evidence could not be made")]
    Receipt(#[from] ReceiptError),
}
