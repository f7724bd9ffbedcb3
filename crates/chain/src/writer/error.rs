use std::{io, path::PathBuf, sync::Arc};

use thiserror::Error;

use crate::{
    crypto::{CertificateError, CoseError, KeyError, ProtectionError, SealError},
    format::{FormatError, TxId},
    snapshot::SnapshotError,
    store::StoreError,
};

/// Why a ledger could not be opened or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The chunk files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A file of the home.
    #[error("a file of the ledger's home could not be used")]
    File(#[from] io::Error),
    /// An entry of the ledger cannot be read.
    #[error("an entry of the ledger cannot be read")]
    Format(#[from] FormatError),
    /// A key.
    #[error("a key of the ledger cannot be used")]
    Key(#[from] KeyError),
    /// A certificate.
    #[error("a certificate of the ledger cannot be used")]
    Certificate(#[from] CertificateError),
    /// A COSE signature.
    #[error("a COSE signature could not be made or read")]
    Cose(#[from] CoseError),
    /// Encryption.
    #[error("a private map could not be encrypted or decrypted")]
    Seal(#[from] SealError),
    /// The home belongs to another process.
    #[error("{} is being written by another process", path.display())]
    Locked {
        /// The home.
        path: PathBuf,
    },
    /// There is no ledger.
    #[error("{} holds no ledger; make one with `ledger chain init`", path.display())]
    NoLedger {
        /// The home.
        path: PathBuf,
    },
    /// There is a ledger already.
    #[error("{} holds a ledger already", path.display())]
    Exists {
        /// The home.
        path: PathBuf,
    },
    /// The keys in the home are not those of the ledger.
    #[error(
        "the keys do not belong to the ledger: {reason}. Restore the right keys, or recover with new ones (`ledger chain recover`)"
    )]
    WrongKeys {
        /// What does not fit.
        reason: String,
    },
    /// A file of keys cannot be read.
    #[error("{file} cannot be read: {reason}")]
    KeyFile {
        /// Its name.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A file of keys is protected by a passphrase that was not given.
    #[error(
        "keys/{file} is protected by a passphrase: name the file that holds it (--passphrase-file), or set LEDGER_CHAIN_PASSPHRASE"
    )]
    Protected {
        /// Its name.
        file: String,
    },
    /// A file of keys is protected, and cannot be opened or written.
    #[error("keys/{file} cannot be used: {error}")]
    Protection {
        /// Its name.
        file: String,
        /// Why not.
        #[source]
        error: ProtectionError,
    },
    /// The last signature of the ledger does not hold.
    #[error("the signature at {txid} does not hold; run `ledger chain verify`")]
    BadSignature {
        /// Where.
        txid: TxId,
    },
    /// A recovery was begun and cut off.
    #[error("the recovery that began at {txid} was not finished; run `ledger chain recover` again")]
    Unfinished {
        /// Its first entry.
        txid: TxId,
    },
    /// The ledger is damaged before its last signature.
    #[error(
        "the ledger does not verify: {problem}. Recover from another copy, or from this one without the damaged chunk and all after it"
    )]
    Unverified {
        /// The first problem.
        problem: String,
    },
    /// The map belongs to the ledger itself.
    #[error("map {map:?} belongs to the ledger itself; use another name")]
    Reserved {
        /// Its name.
        map: String,
    },
    /// An append without any write.
    #[error("the entry writes nothing")]
    Empty,
    /// An entry that is too large.
    #[error("the entry has {bytes} bytes, the limit is {max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// An earlier write failed; nothing is certain any more until the ledger is opened again.
    #[error("an earlier write failed; open the ledger again")]
    Poisoned(#[source] Arc<LedgerError>),
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
}
