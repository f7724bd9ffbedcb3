//! Connections and their settings.

use std::path::Path;

use ledger_streams::Durability;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::OpenError;
use crate::options::{Access, DatabaseOptions};

/// Statements that a connection keeps prepared.
const PREPARED_STATEMENTS: usize = 128;
/// Page cache of a connection, in KiB.
const PAGE_CACHE_KIB: i64 = 8 * 1024;

/// The connection of the writer: makes the file if that was asked for, and switches to the write-ahead log.
pub(crate) fn open_writer(options: &DatabaseOptions) -> Result<Connection, OpenError> {
    let connection = match options.access {
        Access::ReadOnly => return open_reader(options),
        Access::Create => open(options, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?,
        Access::Existing => open(options, OpenFlags::SQLITE_OPEN_READ_WRITE)?,
    };
    // The answer is not checked: where the write-ahead log cannot be had (some network file systems) SQLite stays
    // with its rollback journal, which is as safe and only slower.
    connection
        .pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
        .map_err(|error| cannot_open(options, error))?;
    let synchronous = match options.durability {
        Durability::Synced => "full",
        Durability::Os => "normal",
        asked => return Err(OpenError::UnsupportedDurability { asked }),
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    connection.pragma_update(None, "fullfsync", true)?;
    Ok(connection)
}

/// A connection that only reads.
pub(crate) fn open_reader(options: &DatabaseOptions) -> Result<Connection, OpenError> {
    let connection = open(options, OpenFlags::SQLITE_OPEN_READ_ONLY);
    if options.access == Access::ReadOnly && matches!(connection, Err(OpenError::CannotOpen { .. })) {
        return open_immutable(options).unwrap_or(connection);
    }
    connection
}

fn open(options: &DatabaseOptions, flags: OpenFlags) -> Result<Connection, OpenError> {
    let path = &options.path;
    if !flags.contains(OpenFlags::SQLITE_OPEN_CREATE) && !path.exists() {
        return Err(OpenError::FileMissing { path: path.clone() });
    }
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(options, error))?;
    configure(&connection, options)?;
    Ok(connection)
}

/// A file in a folder that cannot be written to has no room for the shared memory of a write-ahead log. If there is
/// no log to be read either, the file is complete by itself and can be read as it is.
fn open_immutable(options: &DatabaseOptions) -> Option<Result<Connection, OpenError>> {
    let log = wal_path(&options.path);
    if log.exists() {
        return None;
    }
    let encoded: String = options.path.to_str()?.bytes().fold(String::new(), |mut uri, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => uri.push(byte.into()),
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
        uri
    });
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(format!("file:{encoded}?immutable=1"), flags).ok()?;
    Some(configure(&connection, options).map(|()| connection))
}

fn configure(connection: &Connection, options: &DatabaseOptions) -> Result<(), OpenError> {
    let configured = || {
        connection.busy_timeout(options.busy_timeout)?;
        connection.set_prepared_statement_cache_capacity(PREPARED_STATEMENTS);
        connection.pragma_update(None, "cache_size", PAGE_CACHE_KIB.saturating_neg())?;
        // The first access to the file: tells whether it is a database at all.
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))
    };
    configured().map_err(|error| cannot_open(options, error))
}

/// The file of the write-ahead log of a database.
pub(crate) fn wal_path(database: &Path) -> std::path::PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

fn cannot_open(options: &DatabaseOptions, error: rusqlite::Error) -> OpenError {
    let path = options.path.clone();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => OpenError::NotADatabase { path },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            OpenError::CannotOpen { path, reason: error.to_string() }
        }
        Some(
            ErrorCode::DatabaseBusy
            | ErrorCode::DatabaseLocked
            | ErrorCode::DiskFull
            | ErrorCode::DatabaseCorrupt,
        ) => OpenError::Store(options.name().explain("open", &error)),
        _ => OpenError::Sqlite(error),
    }
}
