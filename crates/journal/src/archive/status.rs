//! Looking after the archive: status and vacuum (specification §6.7, §6.8).

use std::collections::BTreeMap;
use std::path::Path;

use ledger_fs::{Kind, Open};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::build::mtime_ms;
use super::error::{ArchiveError, Context};
use super::load::{UNKNOWN_CLASS, text_of};
use super::report::{RowCounts, Status, VacuumReport};
use super::rows::{Batch, LineCounts, parse_piece};
use super::schema::ARCHIVE_VERSION;
use super::state::State;
use super::{Archive, open};
use crate::home::{LEDGER, if_found};
use crate::jsonl::ChunkReader;
use crate::parallel::{cores, in_order};

impl Archive {
    /// The state of the archive. It is not changed, and not created.
    ///
    /// Right after a build of this program the counts are those that the build wrote down; otherwise the rows are counted.
    pub fn status(&self) -> Result<Status, ArchiveError> {
        let path = self.path();
        let mut status = Status {
            archive_path: path.clone(),
            exists: false,
            archive_version: ARCHIVE_VERSION,
            ledger_offset_bytes: 0,
            ledger_mtime_ms: 0,
            ledger_size_bytes: 0,
            ledger_mtime_ms_current: 0,
            up_to_date: false,
            last_built_at: None,
            last_rebuild_at: None,
            rows: RowCounts::default(),
            fidelity: Vec::new(),
        };
        if let Some(dir) = self.home.existing()?
            && let Some(metadata) = if_found(dir.metadata(Path::new(LEDGER)))?
        {
            status.ledger_size_bytes = metadata.len;
            status.ledger_mtime_ms_current = mtime_ms(&metadata);
        }
        let Some(db) = open::for_reading(&path)? else { return Ok(status) };
        status.exists = true;
        status.archive_version = open::check_version(&db, &path)?.unwrap_or(ARCHIVE_VERSION);
        let context = Context { path: &path, operation: "read the state of" };
        if let Some(state) = self.state(&db)? {
            status.ledger_offset_bytes = state.offset;
            status.ledger_mtime_ms = state.mtime_ms;
            status.up_to_date = state.offset == status.ledger_size_bytes;
            let (rows, fidelity) = match state.counts() {
                Some(counts) => (counts.rows(), counts.fidelity.clone()),
                None => count(&db).map_err(|error| context.wrap(error))?,
            };
            status.rows = rows;
            let present = fidelity.into_iter().filter(|(_, count)| *count > 0);
            status.fidelity =
                present.map(|(class, count)| (class, u64::try_from(count).unwrap_or(0))).collect();
            (status.last_built_at, status.last_rebuild_at) = (state.last_built_at, state.last_rebuild_at);
        }
        Ok(status)
    }

    fn state(&self, db: &Connection) -> Result<Option<State>, ArchiveError> {
        let path = self.path();
        let context = Context { path: &path, operation: "read the state of" };
        let known = open::check_version(db, &path)?;
        if known.is_none() {
            return Ok(None);
        }
        State::read(db).map_err(|error| context.wrap(error))
    }

    /// Counts turn and user-turn lines of the ledger: what the archive has passed is looked up, the rest is read.
    pub(crate) fn line_counts(&self) -> Result<LineCounts, ArchiveError> {
        let mut counts = LineCounts::default();
        let Some(dir) = self.home.existing()? else { return Ok(counts) };
        let Some(file) = if_found(dir.open(Path::new(LEDGER), Open::READ))? else { return Ok(counts) };
        let metadata = file.metadata()?;
        let mut start = 0;
        // What cannot be read, for whatever reason, is counted in the ledger.
        if let Ok(Some(db)) = open::for_reading(&self.path())
            && let Ok(Some(state)) = self.state(&db)
            && let Some(known) = state.counts()
            && state.fits(&*file, metadata.id, metadata.len)?
        {
            start = state.offset;
            counts = known.lines();
        }
        let reader = ChunkReader::new(file, start, metadata.len);
        in_order(reader, cores(), parse_piece, |piece| {
            counts.add(piece.result.counts);
            Batch::give_back(piece);
            Ok::<(), ArchiveError>(())
        })?;
        Ok(counts)
    }

    /// Gives back the space of removed rows.
    pub fn vacuum(&self) -> Result<VacuumReport, ArchiveError> {
        let path = self.path();
        let mut report =
            VacuumReport { archive_path: path.clone(), existed: false, before_bytes: 0, after_bytes: 0 };
        let Some(dir) = self.home.existing()? else { return Ok(report) };
        let _guard = self.locks(&dir).acquire("archive")?;
        let Some(db) = open::for_reading(&path)? else { return Ok(report) };
        report.existed = true;
        let size = || -> Result<u64, ArchiveError> {
            let metadata = dir.metadata(Path::new(crate::home::ARCHIVE))?;
            Ok(if metadata.kind == Kind::File { metadata.len } else { 0 })
        };
        let context = Context { path: &path, operation: "vacuum" };
        let run = |sql| db.execute_batch(sql).map_err(|error| context.wrap(error));
        run("PRAGMA wal_checkpoint(TRUNCATE)")?;
        report.before_bytes = size()?;
        run("VACUUM")?;
        run("PRAGMA wal_checkpoint(TRUNCATE)")?;
        report.after_bytes = size()?;
        open::leave_log(&db, false).map_err(|error| context.wrap(error))?;
        Ok(report)
    }
}

/// The rows of the tables, and how many turns have which fidelity.
pub(super) fn count(db: &Connection) -> rusqlite::Result<(RowCounts, BTreeMap<String, i64>)> {
    let table = |name: &str| -> rusqlite::Result<u64> {
        // Archives of the first releases lack a table or two.
        match db.prepare(&format!("SELECT count(*) FROM {name}")) {
            Ok(mut statement) => {
                statement.query_row([], |row| row.get::<_, i64>(0)).map(|n| u64::try_from(n).unwrap_or(0))
            }
            Err(_) => Ok(0),
        }
    };
    let rows = RowCounts {
        sessions: table("sessions")?,
        turns: table("turns")?,
        tool_calls: table("tool_calls")?,
        tool_result_events: table("tool_result_events")?,
        compactions: table("compactions")?,
    };
    let mut fidelity = BTreeMap::new();
    // In the order of the index, so that nothing is sorted.
    let histogram = "SELECT attribution_fidelity, count(*) FROM turns GROUP BY attribution_fidelity";
    if let Ok(mut statement) = db.prepare(histogram) {
        let mut classes = statement.query([])?;
        while let Some(row) = classes.next()? {
            let class = match row.get_ref(0)? {
                ValueRef::Null => UNKNOWN_CLASS.to_owned(),
                _ => text_of(row, 0)?,
            };
            *fidelity.entry(class).or_default() += row.get::<_, i64>(1)?;
        }
    } else if rows.turns > 0 {
        fidelity.insert(UNKNOWN_CLASS.to_owned(), i64::try_from(rows.turns).unwrap_or(i64::MAX));
    }
    Ok((rows, fidelity))
}
