//! A new archive from the whole ledger, made beside the old one and then put in its place.
//!
//! How it is filled is told in [`bulk`](super::bulk).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_fs::{Dir, Open, temporary_name};
use rusqlite::{Connection, OpenFlags};

use super::build::{Failure, Progress, Source, journal};
use super::bulk::{Filled, fill, settle_repeated};
use super::error::ArchiveError;
use super::load::Totals;
use super::schema::{self, LARGE, SMALL};
use super::state::{Counts, State};
use super::status::count;
use super::{sessions, swap};
use crate::home::ARCHIVE;
use crate::lock::Guard;

/// A database made from nothing.
pub(super) struct Fresh<'a> {
    pub(super) dir: &'a Arc<dyn Dir>,
    pub(super) guard: &'a Guard,
    pub(super) now: &'a str,
    pub(super) full: bool,
}

impl Fresh<'_> {
    /// Makes it beside the archive, then puts it in its place.
    pub(super) fn make(&self, source: Option<&Source>, progress: Progress<'_>) -> Result<Totals, Failure> {
        swap::remove_leftovers(&**self.dir)?;
        let [archive, keys] = [(); 2].map(|()| Leftover(&**self.dir, temporary_name(Path::new(ARCHIVE))));
        let path = self.dir.path().join(&archive.1);
        create(&path)?;
        let mut state = State { last_built_at: Some(self.now.to_owned()), ..State::default() };
        state.last_rebuild_at = self.full.then(|| self.now.to_owned());
        let mut totals = Totals::default();
        if let Some(source) = source {
            let keys = self.dir.open(&keys.1, Open::WRITE.create_new())?;
            let file = self.dir.open(&archive.1, Open::WRITE)?;
            let filled = fill(open(&path)?, &*file, keys, source, progress)?;
            complete(&path, source, &filled, state)?;
            totals = filled.totals;
        } else {
            let db = open(&path)?;
            schema::adopt_keys(&db)?;
            close(db, &state)?;
        }
        self.guard.check().map_err(ArchiveError::from)?;
        swap::replace(&**self.dir, &archive.1)?;
        Ok(totals)
    }
}

/// Nobody sees this file before it is complete and synced, so neither journal nor syncs are needed to make it.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -4096;",
    )?;
    Ok(db)
}

/// Makes the tables and indexes, empty.
fn create(path: &Path) -> rusqlite::Result<()> {
    let db = open(path)?;
    db.execute_batch("BEGIN")?;
    for table in &LARGE {
        table.create_without_key(&db)?;
        table.create_key(&db)?;
    }
    SMALL.iter().try_for_each(|table| table.create(&db))?;
    LARGE.iter().chain(&SMALL).try_for_each(|table| table.create_indexes(&db))?;
    db.execute_batch("COMMIT")?;
    db.close().map_err(|(_, error)| error)
}

/// What remains to be done by SQLite.
fn complete(path: &Path, source: &Source, filled: &Filled, mut state: State) -> Result<(), Failure> {
    let db = open(path)?;
    db.execute_batch("BEGIN")?;
    settle_repeated(&db, filled.repeated)?;
    sessions::fill(&db)?;
    db.execute_batch("COMMIT")?;
    schema::adopt_keys(&db)?;
    state.offset = filled.cursor;
    state.mtime_ms = source.mtime_ms();
    let (rows, fidelity) = count(&db)?;
    let counts = Counts::new(filled.totals.lines, rows, fidelity);
    let now = state.last_built_at.clone().unwrap_or_default();
    state.journal = Some(journal(source, filled.cursor, &now, Some(counts))?);
    Ok(close(db, &state)?)
}

fn close(db: Connection, state: &State) -> rusqlite::Result<()> {
    state.write(&db)?;
    db.execute_batch("PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL;")?;
    db.close().map_err(|(_, error)| error)
}

/// Removes a file that did not get its name.
struct Leftover<'a>(&'a dyn Dir, PathBuf);

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        // The next rebuild tries again.
        let _ = self.0.remove(&self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{Home, LEDGER};

    /// Which of the two files that a rebuild writes cannot be written, and what comes of it.
    fn fill_with(archive: Open, keys: Open) -> String {
        let folder = tempfile::tempdir().unwrap();
        let line = r#"{"v":1,"kind":"tool_result_event","record":{"source":"x","sessionId":"s","toolUseId":"u","eventIndex":1,"status":"completed","eventSource":"tool_result"}}"#;
        // More than what may wait to be sorted.
        std::fs::write(folder.path().join(LEDGER), format!("{line}\n").repeat(50_000)).unwrap();
        let dir = Home::at(folder.path()).dir().unwrap();
        let source = Source::open(&*dir).unwrap().unwrap();
        let path = folder.path().join("new");
        create(&path).unwrap();
        std::fs::write(folder.path().join("keys"), "").unwrap();
        let file = dir.open("new".as_ref(), archive).unwrap();
        let keys = dir.open("keys".as_ref(), keys).unwrap();
        let outcome = fill(open(&path).unwrap(), &*file, keys, &source, &mut |_, _| {});
        match outcome.map(drop) {
            Err(Failure::Other(ArchiveError::File(error))) => error.to_string(),
            other => panic!("{:?}", other.is_ok()),
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_ends_the_rebuild_and_is_named() {
        let keys = fill_with(Open::WRITE, Open::READ);
        assert!(keys.starts_with("cannot write to ") && keys.contains("/keys"), "{keys}");
        let archive = fill_with(Open::READ, Open::WRITE);
        assert!(archive.starts_with("cannot write to ") && archive.contains("/new"), "{archive}");
    }
}
