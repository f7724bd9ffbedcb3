//! A new archive in the place of the old one, in one step.
//!
//! A database in WAL mode is three files, so a rename alone would marry the new database to the old log. The order here is
//! safe at every point, whoever reads meanwhile and wherever a crash falls:
//!
//! 1. The old log is written back whole and emptied; readers that hold it up are waited for.
//! 2. `-wal` and `-shm` are removed. The old database is complete without them. Who has them open keeps its own copies,
//!    and SQLite does not touch files of those names again once the database's name leads elsewhere.
//! 3. The new database, synced before, gets the name.
//! 4. `-wal` and `-shm` are removed once more, in case somebody opened the old database between 2 and 3.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger_fs::{Dir, Open};
use rusqlite::{Connection, OpenFlags};

use super::error::ArchiveError;
use crate::home::{ARCHIVE, if_found};

/// Longest wait for readers of the old archive.
const READERS: Duration = Duration::from_secs(60);

/// Puts the finished database at `temporary` in the place of the archive. The caller holds `archive`.
pub(super) fn replace(dir: &dyn Dir, temporary: &Path) -> Result<(), ArchiveError> {
    dir.open(temporary, Open::READ)?.sync_all()?;
    let archive = dir.path().join(ARCHIVE);
    retire(&archive)?;
    remove_companions(dir)?;
    dir.rename(temporary, Path::new(ARCHIVE))?;
    remove_companions(dir)?;
    dir.sync(Path::new(""))?;
    Ok(())
}

fn remove_companions(dir: &dyn Dir) -> io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        if_found(dir.remove(&PathBuf::from(format!("{ARCHIVE}{suffix}"))))?;
    }
    Ok(())
}

/// Writes the old database's log back, so that its file is complete without it.
fn retire(archive: &Path) -> Result<(), ArchiveError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    // No database there, or none that can be opened: then it has no log worth keeping.
    let Ok(db) = Connection::open_with_flags(archive, flags) else { return Ok(()) };
    let _ = db.busy_timeout(READERS);
    let busy = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0));
    match busy {
        Ok(busy) if busy != 0 => Err(ArchiveError::InUse { path: archive.to_owned() }),
        // A damaged database is replaced, whatever its log says.
        _ => Ok(()),
    }
}

/// Removes what rebuilds that were killed have left. The caller holds `archive`.
pub(super) fn remove_leftovers(dir: &dyn Dir) -> io::Result<()> {
    for entry in dir.entries(Path::new(""))? {
        let name = entry?.name;
        let text = name.to_string_lossy();
        if text.starts_with("archive.sqlite.") && (text.ends_with(".tmp") || text.ends_with(".tmp-journal")) {
            if_found(dir.remove(Path::new(&name)))?;
        }
    }
    Ok(())
}
