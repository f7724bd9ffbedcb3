//! What a data file is (specification §2.2). SQLite is asked in process and read-only; nothing appears beside the file.
//!
//! A file that is locked, damaged or unreadable is said to be so, it never passes for an ordinary one (§15, 9). Names of
//! tables are compared as SQLite compares them: without regard to case.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// How long another program may hold the file locked before it is reported.
const LOCK_TIMEOUT: Duration = Duration::from_millis(250);
/// First bytes of a SQLite database (<https://www.sqlite.org/fileformat2.html>, "Magic Header String").
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A SQLite database with these tables, in lower case.
    Sqlite {
        /// Names of its tables.
        tables: BTreeSet<String>,
    },
    /// A DuckDB database, by its name.
    DuckDb,
    /// A workbook, by its name.
    Excel,
    /// A database by its name that cannot be looked into.
    Trouble(Trouble),
}

/// Why a file cannot be looked into.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Another program holds it exclusively.
    #[error("locked by another program; it is looked at again as soon as it is free")]
    Locked,
    /// It has no bytes.
    #[error("empty; perhaps it is being written")]
    Empty,
    /// It is something else.
    #[error("not a SQLite database, in spite of its name")]
    NotADatabase,
    /// It was a database.
    #[error("damaged: {0}")]
    Damaged(String),
    /// The operating system refuses.
    #[error("unreadable: {0}")]
    Unreadable(String),
}

/// Looks at a file.
pub(crate) fn classify(path: &Path) -> Content {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if name.ends_with(".xlsx") {
        return Content::Excel;
    }
    if [".duckdb", ".duckdb.db", ".ddb"].iter().any(|end| name.ends_with(end)) {
        return Content::DuckDb;
    }
    match tables(path) {
        Ok(tables) => Content::Sqlite { tables },
        Err(trouble) => Content::Trouble(trouble),
    }
}

fn tables(path: &Path) -> Result<BTreeSet<String>, Trouble> {
    let is_settled_log = header(path)?.is_in_wal_mode() && !has_log(path);
    if is_settled_log {
        // Opening it the ordinary way would leave `-wal` and `-shm` files behind. Without a log, what is in the file is
        // all there is; a writer that comes this very moment makes the file change, and it is looked at again.
        if let Ok(tables) = query(path, "immutable=1") {
            return Ok(tables);
        }
    }
    query(path, "mode=ro").map_err(|error| trouble(&error))
}

/// The first hundred bytes of a database.
struct Header([u8; 20]);

impl Header {
    fn is_in_wal_mode(&self) -> bool {
        self.0.ends_with(&[2, 2])
    }
}

fn header(path: &Path) -> Result<Header, Trouble> {
    let unreadable = |error: std::io::Error| Trouble::Unreadable(error.to_string());
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.len() == 0 {
        return Err(Trouble::Empty);
    }
    let mut header = [0; 20];
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(MAGIC) => Ok(Header(header)),
        Ok(()) => Err(Trouble::NotADatabase),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Trouble::NotADatabase),
        Err(error) => Err(unreadable(error)),
    }
}

fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

fn query(path: &Path, option: &str) -> rusqlite::Result<BTreeSet<String>> {
    let uri = format!("file:{}?{option}", percent_encoded(&path.to_string_lossy()));
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    let mut statement = connection.prepare("SELECT lower(name) FROM sqlite_master WHERE type = 'table'")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// For the path of a URI: what means something in one is encoded (`?`, `#`, `%`).
pub(crate) fn percent_encoded(path: &str) -> String {
    path.replace('%', "%25").replace('?', "%3f").replace('#', "%23")
}

fn trouble(error: &rusqlite::Error) -> Trouble {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked,
        Some(ErrorCode::NotADatabase) => Trouble::NotADatabase,
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::SystemIoFailure) => {
            Trouble::Unreadable(error.to_string())
        }
        _ => Trouble::Damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str) -> Content {
        classify(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cargo.d").join(name))
    }

    fn has_table(content: &Content, name: &str) -> bool {
        matches!(content, Content::Sqlite { tables } if tables.contains(name))
    }

    #[test]
    fn the_sample_is_classified_as_its_readme_says() {
        for name in ["root-level.db", "apps/it's a name.db", "data/empty-table.db", "data/upper-table.db"] {
            assert!(has_table(&sample(name), "sqlpage_files"), "{name}");
        }
        assert!(has_table(&sample("evidence/audit.sqlite.db"), "uniform_resource"));
        for name in ["data/view-only.db", "data/ordinary.db", "data/ordinary.sqlite3"] {
            assert!(!has_table(&sample(name), "sqlpage_files"), "{name}");
            assert!(matches!(sample(name), Content::Sqlite { .. }), "{name}");
        }
        assert_eq!(sample("tabular/sheet.xlsx"), Content::Excel);
        assert_eq!(sample("tabular/sample.duckdb"), Content::DuckDb);
        assert_eq!(sample("tabular/compound.duckdb.db"), Content::DuckDb);
    }

    #[test]
    fn trouble_is_named_and_never_passes_for_an_ordinary_database() {
        assert_eq!(sample("broken/empty.db"), Content::Trouble(Trouble::Empty));
        assert_eq!(sample("broken/text.db"), Content::Trouble(Trouble::NotADatabase));
        assert_eq!(sample("broken/random.db"), Content::Trouble(Trouble::NotADatabase));
        for name in ["broken/corrupt-schema.db", "broken/truncated.sqlite"] {
            assert!(
                matches!(sample(name), Content::Trouble(Trouble::Damaged(_))),
                "{name}: {:?}",
                sample(name)
            );
        }
        assert!(matches!(sample("none.db"), Content::Trouble(Trouble::Unreadable(_))));
    }

    #[test]
    fn a_locked_database_is_locked_and_then_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("what? 100%#.db");
        let owner = Connection::open(&path).unwrap();
        owner.execute_batch("CREATE TABLE sqlpage_files(path); BEGIN EXCLUSIVE").unwrap();
        assert_eq!(classify(&path), Content::Trouble(Trouble::Locked));
        owner.execute_batch("COMMIT").unwrap();
        assert!(has_table(&classify(&path), "sqlpage_files"));
    }

    #[test]
    fn looking_leaves_nothing_behind_and_sees_what_is_only_in_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wal.db");
        let owner = Connection::open(&path).unwrap();
        owner.execute_batch("PRAGMA journal_mode = wal; CREATE TABLE uniform_resource(a)").unwrap();
        assert!(has_table(&classify(&path), "uniform_resource"));
        drop(owner);
        assert!(has_table(&classify(&path), "uniform_resource"));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
