//! The archive: tables derived from the ledger, for questions that a walk would answer slowly (specification §6).
//!
//! `archive.sqlite` has the schema of the original, version 3, and is read and written by both programs. It can be made anew
//! from the ledger at any time, and is whenever there is doubt; the ledger never depends on it.
//!
//! | module | subject |
//! |---|---|
//! | `schema` | tables, indexes, what earlier releases lack |
//! | `state` | the cursor, and how the ledger is recognised |
//! | `open` | opening without changing anything |
//! | `rows`, `field` | from lines to rows; values as SQLite stores them |
//! | `stamps`, `fold` | what stamps say about turns |
//! | `bulk`, `layout` | filling an empty archive, page by page |
//! | `load`, `bind` | inserting into an archive that has rows |
//! | `sessions` | aggregates of sessions |
//! | `build` | what is to be done; the incremental build |
//! | `fresh`, `swap` | full rebuild beside the old archive, then in its place |
//! | `status`, `vacuum` | looking after it |
//! | `query`, `aggregate` | asking it |

mod aggregate;
mod bind;
mod build;
mod bulk;
mod error;
mod field;
mod fold;
mod fresh;
mod layout;
mod load;
mod open;
mod query;
mod report;
mod rows;
mod schema;
mod sessions;
mod stamps;
mod state;
mod status;
mod swap;

use std::path::PathBuf;
use std::sync::Arc;

use ledger_fs::Dir;

pub use aggregate::{ModelUse, RetryMedian};
pub use build::Progress;
pub use error::ArchiveError;
pub use query::{ArchivedCall, ArchivedFidelity, ArchivedSubagent, ArchivedTurn};
pub use report::{BuildReport, MAX_SKIPPED_LISTED, Problem, RowCounts, SkippedLine, Status, VacuumReport};
pub use schema::ARCHIVE_VERSION;

use crate::home::{ARCHIVE, Home};
use crate::lock::Locks;

/// The archive of a home.
#[derive(Clone, Debug)]
pub struct Archive {
    home: Home,
}

impl Archive {
    /// The archive of that home, which must be a folder of the machine. Nothing is opened yet.
    ///
    /// # Errors
    ///
    /// [`ArchiveError::Storage`] when `RELAYBURN_STORAGE` asks for another storage than files.
    pub fn new(home: Home) -> Result<Self, ArchiveError> {
        Self::with_storage(home, std::env::var("RELAYBURN_STORAGE").ok().as_deref())
    }

    /// As [`Archive::new`], with the storage given.
    pub fn with_storage(home: Home, storage: Option<&str>) -> Result<Self, ArchiveError> {
        match storage {
            None | Some("file") => Ok(Self { home }),
            Some(kind) => Err(ArchiveError::Storage { kind: kind.to_owned() }),
        }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.home.join(ARCHIVE)
    }

    /// Whether there is one: a regular file of that name. Never fails.
    pub fn is_available(&self) -> bool {
        self.path().is_file()
    }

    fn locks(&self, dir: &Arc<dyn Dir>) -> Locks {
        Locks::new(Arc::clone(dir))
    }
}
