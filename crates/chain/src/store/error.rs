use std::io;

use thiserror::Error;

/// Why chunk files could not be opened, written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file system.
    #[error("a file of the ledger could not be used")]
    File(#[from] io::Error),
    /// Bytes that no crash leaves behind.
    #[error(
        "{chunk} is damaged at offset {offset}: {reason}. Verify the ledger; restore the chunk from another copy, or recover"
    )]
    Damaged {
        /// The file.
        chunk: String,
        /// Where.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// An entry was synced, and cannot be read any more.
    #[error(
        "{chunk} is damaged at offset {offset}: entry {seqno} cannot be read, but everything up to entry {synced} was synced. \
         Restore the chunk from another copy, or go on with what is signed before it (`ledger chain recover`). \
         Should this be a copy made while the ledger was written, or keys/ledger_secrets another ledger's, put that right: \
         a copy needs no file `synced`"
    )]
    Lost {
        /// The file.
        chunk: String,
        /// Where the entry begins or should begin.
        offset: u64,
        /// The first entry that is missing.
        seqno: u64,
        /// Up to where the ledger was synced.
        synced: u64,
    },
    /// There is no such entry.
    #[error("there is no entry {seqno}")]
    NotFound {
        /// Its sequence number.
        seqno: u64,
    },
    /// The chunk of an entry was moved away, as a snapshot allows, or is missing.
    #[error(
        "entry {seqno} is not here any more, the first one is {first}: put the chunks before it back, or begin there"
    )]
    Gone {
        /// The entry that was asked for.
        seqno: u64,
        /// The first one behind it that is here.
        first: u64,
    },
    /// An entry would begin beyond 4 GiB of its chunk.
    #[error("{chunk} is full: entries begin below 4 GiB. Sign more often, or lower the chunk size")]
    ChunkFull {
        /// The file.
        chunk: String,
    },
    /// Committed entries cannot be taken back.
    #[error("cannot roll back to {seqno}: everything up to {committed} is committed")]
    Committed {
        /// Where to.
        seqno: u64,
        /// What is committed.
        committed: u64,
    },
}
