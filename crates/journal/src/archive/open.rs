//! Opening the archive.
//!
//! Looking changes nothing: readers open what is there, find out its version first, and add nothing. Only builds complete
//! the structure of an archive of an earlier release.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::{ArchiveError, Context};
use super::schema::{self, ARCHIVE_VERSION};

/// How long a statement waits for another program.
const BUSY: Duration = Duration::from_secs(10);

/// Opens an existing archive for reading; `None` when there is none. It is never changed, not even its structure.
pub(super) fn for_reading(path: &Path) -> Result<Option<Connection>, ArchiveError> {
    if !path.is_file() {
        return Ok(None);
    }
    let context = Context { path, operation: "open" };
    let db = existing(path).map_err(|error| context.wrap(error))?;
    check_version(&db, path)?;
    Ok(Some(db))
}

fn existing(path: &Path) -> rusqlite::Result<Connection> {
    let attempt = || {
        let db = Connection::open_with_flags(
            path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        db.busy_timeout(BUSY)?;
        // The first statement that really reads the file.
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        // A log that a build has left is written back by a later build, not by somebody who only looks.
        if log_of(path).metadata().is_ok_and(|log| log.len() > 0) {
            leave_log(&db, true)?;
        }
        Ok(db)
    };
    attempt().or_else(|error: rusqlite::Error| {
        use rusqlite::ErrorCode::{CannotOpen, ReadOnly};
        if !matches!(error.sqlite_error_code(), Some(CannotOpen | ReadOnly)) {
            return Err(error);
        }
        // A home that cannot be written to cannot hold the `-shm` file, and nobody can change the archive either.
        let uri = format!("file:{}?immutable=1", escape(path));
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(uri, flags)?;
        db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(db)
    })
}

/// Whether closing leaves the log as it is. Writing it back takes some syncs, the price of a dozen small builds.
pub(super) fn leave_log(db: &Connection, leave: bool) -> rusqlite::Result<()> {
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, leave).map(drop)
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn escape(path: &Path) -> String {
    path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

/// Opens an existing archive for a build, completing its structure.
pub(super) fn for_building(path: &Path) -> Result<Option<Connection>, ArchiveError> {
    let Some(db) = for_reading(path)? else { return Ok(None) };
    let context = Context { path, operation: "prepare" };
    prepare(&db).map_err(|error| context.wrap(error))?;
    Ok(Some(db))
}

fn prepare(db: &Connection) -> rusqlite::Result<()> {
    // Derived data: after a power cut the latest builds may be missing, and the next one makes them again.
    db.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32768;")?;
    leave_log(db, true)?;
    schema::complete(db)
}

/// Refuses an archive of a later release before anything is changed in it.
pub(super) fn check_version(db: &Connection, path: &Path) -> Result<Option<i64>, ArchiveError> {
    let context = Context { path, operation: "read the version of" };
    match schema::version(db).map_err(|error| context.wrap(error))? {
        Some(found) if found > ARCHIVE_VERSION => {
            Err(ArchiveError::Newer { path: path.to_owned(), found, known: ARCHIVE_VERSION })
        }
        version => Ok(version),
    }
}
