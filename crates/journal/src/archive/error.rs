//! Why the archive did not do what was asked.

use std::io;
use std::path::PathBuf;

use crate::lock::LockError;

/// A failure of the archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The home is kept by another storage adapter.
    #[error("archive operations require RELAYBURN_STORAGE=file (got {kind})")]
    Storage {
        /// The adapter.
        kind: String,
    },
    /// A later release wrote the archive. It was not touched.
    #[error(
        "{} has schema version {found}, and this program knows versions up to {known}; use the release that wrote it, or make it anew with `burn state rebuild archive --full`",
        path.display()
    )]
    Newer {
        /// The archive.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that this program knows.
        known: i64,
    },
    /// The archive's file is no database, or a damaged one. It is derived from the ledger and can be made anew.
    #[error("{} is damaged ({source}); make it anew with `burn state rebuild archive --full`", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Somebody reads the old archive and does not come to an end.
    #[error("{} is being read by another program; the new archive was not put in its place, try again", path.display())]
    InUse {
        /// The archive.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] io::Error),
    /// The lock `archive` could not be taken or was lost.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database could not do it.
    #[error("cannot {operation} {}: {source}", path.display())]
    Sqlite {
        /// What was attempted.
        operation: &'static str,
        /// The archive.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
}

/// Says which operation on which archive failed.
pub(super) struct Context<'a> {
    pub(super) path: &'a std::path::Path,
    pub(super) operation: &'static str,
}

impl Context<'_> {
    pub(super) fn wrap(&self, source: rusqlite::Error) -> ArchiveError {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        let path = self.path.to_owned();
        match source.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => ArchiveError::Damaged { path, source },
            _ => ArchiveError::Sqlite { operation: self.operation, path, source },
        }
    }
}
