//! Bringing the archive up to date with the ledger (specification §6.4).
//!
//! A build with something to go on applies the new lines in one transaction, the cursor included. Everything else (no archive
//! yet, one of an early release, a ledger that is not the one that was archived, a full rebuild that was asked for) makes a
//! new database from the whole ledger beside the old one, which readers see until the new one takes its name.
//!
//! Of a range the stamps are applied first, in a sweep of their own that parses only lines that may be stamps: then every turn
//! is folded once, when it is stored. Lines are parsed on one core while the other stores; memory does not depend on the
//! length of the range.

use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use ledger_fs::{Dir, File, Kind, Metadata, Open};
use rusqlite::Connection;

use super::error::{ArchiveError, Context};
use super::fresh::Fresh;
use super::load::{Loader, Totals};
use super::report::{BuildReport, MAX_SKIPPED_LISTED};
use super::rows::{Batch, parse_piece};
use super::schema;
use super::sessions;
use super::stamps::{Affected, insert, parse_stamps, sources};
use super::state::{Counts, Journal, State, tail_hash};
use super::{Archive, open};
use crate::hash::Hash64;
use crate::home::{LEDGER, if_found};
use crate::jsonl::ChunkReader;
use crate::lock::Guard;
use crate::parallel::in_order;
use crate::stamp::now_iso;

/// Told from time to time how many bytes of how many are done.
pub type Progress<'p> = &'p mut dyn FnMut(u64, u64);

/// The ledger as it is at the beginning of a build.
pub(super) struct Source {
    pub(super) file: Arc<dyn File>,
    pub(super) metadata: Metadata,
}

impl Source {
    /// `None` when there is no such file, or it is something else.
    pub(super) fn open(dir: &dyn Dir) -> Result<Option<Self>, ArchiveError> {
        let Some(file) = if_found(dir.open(Path::new(LEDGER), Open::READ))? else { return Ok(None) };
        let metadata = file.metadata()?;
        Ok((metadata.kind == Kind::File).then_some(Self { file: Arc::from(file), metadata }))
    }

    pub(super) fn mtime_ms(&self) -> i64 {
        mtime_ms(&self.metadata)
    }
}

pub(super) fn mtime_ms(metadata: &Metadata) -> i64 {
    let since = metadata.modified.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

impl Archive {
    /// Applies what was added to the ledger since the last build.
    pub fn build(&self, progress: Progress<'_>) -> Result<BuildReport, ArchiveError> {
        self.run(false, progress)
    }

    /// Makes the archive anew from the whole ledger.
    pub fn rebuild(&self, progress: Progress<'_>) -> Result<BuildReport, ArchiveError> {
        self.run(true, progress)
    }

    fn run(&self, full: bool, progress: Progress<'_>) -> Result<BuildReport, ArchiveError> {
        let dir = self.home.dir()?;
        let guard = self.locks(&dir).acquire("archive")?;
        let now = now_iso();
        let path = self.path();
        let source = Source::open(&*dir)?;
        let old = if full { None } else { self.usable()? };
        let mut report = BuildReport { rebuilt_from_zero: full, ..BuildReport::default() };
        let Some(source) = source else {
            self.touch(&dir, &guard, old, &now, full)?;
            return Ok(report);
        };
        if let Some((db, state)) = old {
            let fits = state.fits(&*source.file, source.metadata.id, source.metadata.len)?;
            if fits && state.offset > 0 {
                let context = Context { path: &path, operation: "add to" };
                let mut totals = Totals::default();
                let outcome = increment(&db, &source, state, &now, &mut totals, progress);
                outcome.map_err(|error| error.in_context(&context))?;
                fill_report(&mut report, totals);
                return Ok(report);
            }
            report.ledger_rewritten = !fits;
        }
        let context = Context { path: &path, operation: "make" };
        let fresh = Fresh { dir: &dir, guard: &guard, now: &now, full };
        let totals = fresh.make(Some(&source), progress).map_err(|error| error.in_context(&context))?;
        fill_report(&mut report, totals);
        Ok(report)
    }

    /// The existing archive, if it can be added to.
    fn usable(&self) -> Result<Option<(Connection, State)>, ArchiveError> {
        let path = self.path();
        let found = match open::for_reading(&path) {
            // Derived data: what is damaged is made anew.
            Err(ArchiveError::Damaged { .. }) => return Ok(None),
            other => other?,
        };
        let Some(db) = found else { return Ok(None) };
        // Before version 3 the archive did not keep stamps, nor all columns: only the ledger has them.
        if open::check_version(&db, &path)? != Some(schema::ARCHIVE_VERSION) {
            return Ok(None);
        }
        drop(db);
        let Some(db) = open::for_building(&path)? else { return Ok(None) };
        let context = Context { path: &path, operation: "read the state of" };
        let state = State::read(&db).map_err(|error| context.wrap(error))?;
        Ok(state.map(|state| (db, state)))
    }

    /// A build without a ledger: rows and cursor stay as they are.
    fn touch(
        &self,
        dir: &Arc<dyn Dir>,
        guard: &Guard,
        old: Option<(Connection, State)>,
        now: &str,
        full: bool,
    ) -> Result<(), ArchiveError> {
        let path = self.path();
        let context = Context { path: &path, operation: "make" };
        if let Some((db, mut state)) = old {
            state.last_built_at = Some(now.to_owned());
            return state.write(&db).map_err(|error| context.wrap(error));
        }
        if full && path.is_file() {
            // The original would keep nothing here; what was archived is worth more than an empty archive.
            if let Some((db, mut state)) = self.usable()? {
                state.last_built_at = Some(now.to_owned());
                state.last_rebuild_at = Some(now.to_owned());
                return state.write(&db).map_err(|error| context.wrap(error));
            }
        }
        let fresh = Fresh { dir, guard, now, full };
        fresh.make(None, &mut |_, _| {}).map(drop).map_err(|error| error.in_context(&context))
    }
}

/// A failure inside a build, before it is known to whom it is told.
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Other(ArchiveError),
}

impl Failure {
    pub(super) fn in_context(self, context: &Context<'_>) -> ArchiveError {
        match self {
            Self::Sqlite(error) => context.wrap(error),
            Self::Other(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<ArchiveError> for Failure {
    fn from(error: ArchiveError) -> Self {
        Self::Other(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

fn fill_report(report: &mut BuildReport, totals: Totals) {
    report.scanned_bytes = totals.scanned_bytes;
    report.turns_applied = totals.turns;
    report.sessions_touched = totals.session_ids.len() as u64;
    report.stamps_applied = totals.stamps;
    report.compactions_applied = totals.compactions;
    report.tool_result_events_applied = totals.events;
    report.skipped_lines = totals.skipped_lines;
    report.skipped = totals.skipped;
    report.skipped.sort_by_key(|line| line.offset);
    report.skipped.truncate(MAX_SKIPPED_LISTED);
    report.malformed_lines = totals.lines.malformed;
}

/// Applies the lines behind the cursor, in one transaction.
fn increment(
    db: &Connection,
    source: &Source,
    mut state: State,
    now: &str,
    totals: &mut Totals,
    progress: Progress<'_>,
) -> Result<(), Failure> {
    let counts = state.counts().cloned();
    let (start, end) = (state.offset, source.metadata.len);
    db.execute_batch("BEGIN IMMEDIATE")?;
    let _rollback = Rollback(db);
    if let Some(counts) = &counts {
        totals.rows = counts.rows();
        totals.lines = counts.lines();
        totals.fidelity.clone_from(&counts.fidelity);
    }
    let mut cursor = start;
    if end > start {
        let affected = apply_stamps(db, source, start, end, totals, progress)?;
        let mut loader = Loader::new(db, std::mem::take(totals))?;
        cursor = apply_lines(source, start, end, progress, |batch| Ok(loader.apply(batch)?))?;
        let rowids = affected.turns(db)?;
        loader.refold(db, &rowids)?;
        *totals = std::mem::take(&mut loader.totals);
        for session in &affected.sessions {
            for source in sources(db)? {
                totals.touched.insert((source, session.clone()));
            }
        }
        totals.rows.sessions += sessions::refresh(db, totals.touched.iter())?;
    }
    state.offset = cursor;
    state.mtime_ms = source.mtime_ms();
    state.last_built_at = Some(now.to_owned());
    // Without counts to go on, those of the range alone would be wrong.
    let counts = counts.map(|_| Counts::new(totals.lines, totals.rows, totals.fidelity.clone()));
    state.journal = Some(journal(source, cursor, now, counts)?);
    state.write(db)?;
    db.execute_batch("COMMIT")?;
    Ok(())
}

/// Rolls back when a build is given up before its commit.
struct Rollback<'c>(&'c Connection);

impl Drop for Rollback<'_> {
    fn drop(&mut self) {
        if !self.0.is_autocommit() {
            // A connection that fails here is closed by its owner, which rolls back too.
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }
}

pub(super) fn journal(
    source: &Source,
    cursor: u64,
    now: &str,
    counts: Option<Counts>,
) -> Result<Journal, Failure> {
    let id = source.metadata.id;
    Ok(Journal {
        offset: cursor,
        built_at: now.to_owned(),
        device: id.device,
        inode: id.inode,
        tail: tail_hash(&*source.file, cursor)?,
        counts,
    })
}

/// The first sweep: stamps into their table.
pub(super) fn apply_stamps(
    db: &Connection,
    source: &Source,
    start: u64,
    end: u64,
    totals: &mut Totals,
    progress: Progress<'_>,
) -> Result<Affected, Failure> {
    let mut affected = Affected::default();
    let reader = ChunkReader::new(Arc::clone(&source.file), start, end);
    in_order(reader, 1, parse_stamps, |piece| {
        let (stamps, skipped) = &piece.result;
        totals.stamps += stamps.len() as u64;
        totals.skipped_lines += skipped.len() as u64;
        totals.skipped.extend(skipped);
        totals.skipped.truncate(MAX_SKIPPED_LISTED);
        insert(db, stamps, &mut affected)?;
        // The sweep is a small part of the work.
        progress((piece.end() - start) / 10, end - start);
        Ok::<(), Failure>(())
    })?;
    totals.session_ids.extend(affected.sessions.iter().map(|id| Hash64::of(id)));
    Ok(affected)
}

/// The second sweep: everything else. Returns the end of the last whole line.
pub(super) fn apply_lines(
    source: &Source,
    start: u64,
    end: u64,
    progress: Progress<'_>,
    mut apply: impl FnMut(&Batch) -> Result<(), Failure>,
) -> Result<u64, Failure> {
    let reader = ChunkReader::new(Arc::clone(&source.file), start, end);
    let mut cursor = start;
    in_order(reader, 1, parse_piece, |piece| {
        cursor = piece.result.end;
        apply(&piece.result)?;
        Batch::give_back(piece);
        progress((end - start) / 10 + (cursor - start) / 10 * 9, end - start);
        Ok::<(), Failure>(())
    })?;
    Ok(cursor)
}
