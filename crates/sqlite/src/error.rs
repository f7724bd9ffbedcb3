//! Errors of opening, and what SQLite's error codes mean for a caller.

use std::path::PathBuf;

use ledger_streams::{
    Backend, Conflict, Corrupt, EntryNotFound, InvalidStoreName, LimitExceeded, Locked, ReadOnly,
    SourceTaken, StorageFull, StoreClosed, StoreError, StreamExists, StreamNotFound,
};
use rusqlite::ErrorCode;

/// Why a database or a store could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// There is no such file, and it was not to be created.
    #[error("ledger/sqlite: there is no database {path:?}; an append or `store create` makes it")]
    FileMissing {
        /// The file.
        path: PathBuf,
    },
    /// The file is no SQLite database.
    #[error("ledger/sqlite: {path:?} is not an SQLite database; it was left as it is")]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened or created.
    #[error(
        "ledger/sqlite: {path:?} cannot be opened: {reason}; check that the folder exists and that you may write to it"
    )]
    CannotOpen {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        reason: String,
    },
    /// There is no such store in the database, and it was not to be created.
    #[error("ledger/sqlite: there is no store {store:?} in {database}; there are: {}", existing.join(", "))]
    StoreMissing {
        /// The store.
        store: String,
        /// The database.
        database: String,
        /// The stores that there are.
        existing: Vec<String>,
    },
    /// A table of this name is no store.
    #[error("ledger/sqlite: table {table:?} in {database} is not a store: it has no column {}", missing.join(", "))]
    ForeignTable {
        /// The table.
        table: String,
        /// The database.
        database: String,
        /// Columns that a store would have.
        missing: Vec<String>,
    },
    /// SQLite does not tell apart letters of different case in table names.
    #[error(
        "ledger/sqlite: store {store:?} cannot be opened in {database}: it has {taken_by:?}, which is the same to SQLite"
    )]
    NameTaken {
        /// The store.
        store: String,
        /// The table that is there.
        taken_by: String,
        /// The database.
        database: String,
    },
    /// The name is used by other tables.
    #[error(
        "ledger/sqlite: {store:?} is reserved: other tables of a store are named like this; take another name"
    )]
    ReservedName {
        /// The name.
        store: String,
    },
    /// The name breaks the rules.
    #[error(transparent)]
    InvalidName(#[from] InvalidStoreName),
    /// SQLite cannot give this durability: it can give `Os` and `Synced`.
    #[error("ledger/sqlite: durability {asked:?} is not to be had from SQLite; choose Os or Synced")]
    UnsupportedDurability {
        /// What was asked for.
        asked: ledger_streams::Durability,
    },
    /// A thread could not be started.
    #[error("ledger/sqlite: cannot start a thread: {0}")]
    Thread(#[source] std::io::Error),
    /// Anything that can also happen later.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// SQLite failed.
    #[error("ledger/sqlite: open: {0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// What SQLite said.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (SQLite code {extended_code})")]
pub struct SqliteError {
    /// Its text.
    pub message: String,
    /// Its extended result code, 0 if the error did not come from the engine.
    pub extended_code: i32,
}

/// How an operation failed, before it is known on behalf of whom.
#[derive(Debug)]
#[allow(unreachable_pub, reason = "it stands in the signature of a sealed public trait")]
pub enum Failure {
    /// The caller's fault, or a fact about the store.
    Store(StoreError),
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// A database or store could not be opened.
    Open(OpenError),
}

macro_rules! facts_are_failures {
    ($($fact:ty),*) => {
        $(impl From<$fact> for Failure {
            fn from(fact: $fact) -> Self {
                Self::Store(fact.into())
            }
        })*
    };
}

facts_are_failures!(
    StoreError,
    Conflict,
    Corrupt,
    EntryNotFound,
    LimitExceeded,
    SourceTaken,
    StoreClosed,
    StreamExists,
    StreamNotFound
);

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// The error for the caller.
    pub(crate) fn explain(self, database: &DatabaseName) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sqlite(error) | Self::Open(OpenError::Sqlite(error)) => {
                database.explain("operation", &error)
            }
            Self::Open(OpenError::Store(error)) => error,
            Self::Open(error) => Backend {
                backend: "sqlite",
                step: format!("open {}", database.path),
                advice: error.to_string(),
                outcome_unknown: false,
                source: None,
            }
            .into(),
        }
    }
}

/// What errors say about the database.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseName {
    /// Its path, for people.
    pub(crate) path: String,
    /// How long it waits for a lock, in milliseconds.
    pub(crate) busy_timeout_ms: u64,
}

impl DatabaseName {
    /// What an error of SQLite means for whoever asked for an operation.
    pub(crate) fn explain(&self, step: &str, error: &rusqlite::Error) -> StoreError {
        let database = self.path.clone();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                Locked { database, waited_ms: self.busy_timeout_ms }.into()
            }
            Some(ErrorCode::DiskFull) => StorageFull { database }.into(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Corrupt { database, detail: error.to_string() }.into()
            }
            Some(ErrorCode::ReadOnly) => ReadOnly { store: database }.into(),
            code => self.backend(step, error, code),
        }
    }

    fn backend(&self, step: &str, error: &rusqlite::Error, code: Option<ErrorCode>) -> StoreError {
        let outcome_unknown = code == Some(ErrorCode::SystemIoFailure);
        let advice = if outcome_unknown {
            "the disk failed; a write may have happened all the same. Check the disk, then repeat writes that have \
             dedup keys"
        } else {
            "SQLite failed; nothing was written"
        };
        Backend {
            backend: "sqlite",
            step: format!("{step} on {}", self.path),
            advice: advice.to_owned(),
            outcome_unknown,
            source: Some(Box::new(SqliteError {
                message: error.to_string(),
                extended_code: error.sqlite_error().map_or(0, |error| error.extended_code),
            })),
        }
        .into()
    }
}
