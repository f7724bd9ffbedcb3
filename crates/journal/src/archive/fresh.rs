//! A new archive from the whole ledger, made beside the old one and then put in its place.
//!
//! Half of the work is SQLite's, and a database has one writer. So there are two databases for a while: tool-result events,
//! which have nothing to do with the rest, are filled into one of their own on a thread of their own, with key and indexes.
//! At the end they are copied over, page after page of entries that are sorted already.

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;

use ledger_fs::{Dir, temporary_name};
use rusqlite::{Connection, OpenFlags};

use super::build::{Failure, Progress, Source, apply_lines, apply_stamps, journal};
use super::bulk::{self, BulkLoader, EventLoader};
use super::error::ArchiveError;
use super::load::Totals;
use super::rows::Batch;
use super::schema::{self, LARGE, SMALL};
use super::state::{Counts, State};
use super::status::count;
use super::{sessions, swap};
use crate::home::ARCHIVE;
use crate::lock::Guard;

/// Batches that wait for the thread of the events.
const WAITING: usize = 2;

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
        let [archive, events] = [(); 2].map(|()| temporary_name(Path::new(ARCHIVE)));
        let _leftovers = [&archive, &events].map(|name| Leftover(&**self.dir, name));
        let [archive_path, events_path] = [&archive, &events].map(|name| self.dir.path().join(name));
        let totals = self.fill(&archive_path, &events_path, source, progress)?;
        self.guard.check().map_err(ArchiveError::from)?;
        swap::replace(&**self.dir, &archive)?;
        Ok(totals)
    }

    fn fill(
        &self,
        archive: &Path,
        events: &Path,
        source: Option<&Source>,
        progress: Progress<'_>,
    ) -> Result<Totals, Failure> {
        let db = open(archive)?;
        let mut state = State { last_built_at: Some(self.now.to_owned()), ..State::default() };
        state.last_rebuild_at = self.full.then(|| self.now.to_owned());
        let (to_events, batches) = mpsc::sync_channel(WAITING);
        let (filled, events_filled) = thread::scope(|scope| {
            let thread = scope.spawn(move || fill_events(events, &batches));
            let filled = fill_others(&db, source, to_events, progress);
            (filled, thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        });
        // When the thread of the events fails the other one fails for want of it.
        events_filled?;
        let (totals, cursor) = filled?;
        take_over_events(&db, events)?;
        schema::adopt_keys(&db)?;
        if let Some(source) = source {
            state.offset = cursor;
            state.mtime_ms = source.mtime_ms();
            let (rows, fidelity) = count(&db)?;
            let counts = Counts::new(totals.lines, rows, fidelity);
            state.journal = Some(journal(source, cursor, self.now, Some(counts))?);
        }
        state.write(&db)?;
        db.execute_batch("PRAGMA locking_mode = NORMAL; PRAGMA journal_mode = WAL;")?;
        db.close().map_err(|(_, error)| error)?;
        Ok(totals)
    }
}

/// Nobody sees these files before they are complete and synced, so neither journal nor syncs are needed to make them.
fn open(path: &Path) -> rusqlite::Result<Connection> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    // The size of the cache is also how much a sort holds in memory.
    db.execute_batch(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
         PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -16384; PRAGMA threads = 2;",
    )?;
    Ok(db)
}

/// Fills all tables but that of the events, which are sent on. Returns the end of the last whole line.
fn fill_others(
    db: &Connection,
    source: Option<&Source>,
    to_events: mpsc::SyncSender<Arc<Batch>>,
    progress: Progress<'_>,
) -> Result<(Totals, u64), Failure> {
    let [turns, calls, _] = &LARGE;
    let (mut totals, mut cursor) = (Totals::default(), 0);
    db.execute_batch("BEGIN")?;
    for table in [turns, calls] {
        table.create_without_key(db)?;
    }
    SMALL.iter().try_for_each(|table| table.create(db))?;
    if let Some(source) = source {
        let end = source.metadata.len;
        apply_stamps(db, source, 0, end, &mut totals, progress)?;
        let mut loader = BulkLoader::new(db, totals)?;
        cursor = apply_lines(source, 0, end, progress, |batch| {
            let batch = Arc::new(batch);
            if !batch.events.is_empty() && to_events.send(Arc::clone(&batch)).is_err() {
                // It has failed; what it says is what counts.
                return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into());
            }
            Ok(loader.apply(&batch)?)
        })?;
        totals = loader.totals;
    }
    drop(to_events);
    bulk::make_keys(db)?;
    for table in [turns, calls].into_iter().chain(&SMALL) {
        table.create_indexes(db)?;
    }
    sessions::fill(db)?;
    db.execute_batch("COMMIT")?;
    Ok((totals, cursor))
}

/// Fills the table of the events in a database of its own.
fn fill_events(path: &Path, batches: &mpsc::Receiver<Arc<Batch>>) -> rusqlite::Result<()> {
    let [.., events] = &LARGE;
    let db = open(path)?;
    db.execute_batch("BEGIN")?;
    events.create_without_key(&db)?;
    let mut loader = EventLoader::new(&db)?;
    for batch in batches {
        loader.apply(&batch)?;
    }
    drop(loader);
    bulk::make_event_key(&db)?;
    events.create_indexes(&db)?;
    db.execute_batch("COMMIT")?;
    db.close().map_err(|(_, error)| error)
}

/// Copies the events. SQLite copies entry by entry, without a look into them, when both tables have the same columns and
/// indexes and the target is empty.
fn take_over_events(db: &Connection, path: &Path) -> rusqlite::Result<()> {
    let [.., events] = &LARGE;
    // As bytes, because a path need not be UTF-8.
    db.execute("ATTACH ?1 AS other", [path.as_os_str().as_encoded_bytes()])?;
    db.execute_batch("BEGIN")?;
    events.create_without_key(db)?;
    events.create_key(db)?;
    events.create_indexes(db)?;
    db.execute_batch(&format!("INSERT INTO main.{name} SELECT * FROM other.{name}", name = events.name))?;
    db.execute_batch("COMMIT; DETACH other")
}

/// Removes a database that did not get its name.
struct Leftover<'a>(&'a dyn Dir, &'a Path);

impl Drop for Leftover<'_> {
    fn drop(&mut self) {
        // The next rebuild tries again.
        let _ = self.0.remove(self.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::{Home, LEDGER};
    use crate::lock::Locks;

    #[test]
    fn a_failure_of_the_thread_of_the_events_ends_the_rebuild_and_is_what_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let line = r#"{"v":1,"kind":"tool_result_event","record":{"source":"x","sessionId":"s","toolUseId":"u","eventIndex":1,"status":"completed","eventSource":"tool_result"}}"#;
        // More than what may wait for the thread.
        std::fs::write(folder.path().join(LEDGER), format!("{line}\n").repeat(50_000)).unwrap();
        let dir = Home::at(folder.path()).dir().unwrap();
        let guard = Locks::new(Arc::clone(&dir)).acquire("archive").unwrap();
        let fresh = Fresh { dir: &dir, guard: &guard, now: "now", full: true };
        let source = Source::open(&*dir).unwrap();
        let nowhere = folder.path().join("gone/events");
        let outcome = fresh.fill(&folder.path().join("new"), &nowhere, source.as_ref(), &mut |_, _| {});
        let Err(Failure::Sqlite(error)) = outcome else { panic!("the failure is SQLite's") };
        assert_eq!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::CannotOpen));
    }
}
