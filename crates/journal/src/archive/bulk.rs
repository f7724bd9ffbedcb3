//! Filling an empty archive.
//!
//! Rows come in the order of the ledger, in which keys are as good as random: kept from the first row on, a key costs a
//! search for every row, and soon a page to be read and written as well. Here the large tables get their rows first, many to
//! a statement; their keys are made by sorting afterwards, and only then rows that repeat a key are looked for.
//!
//! What such rows come to is what applying them one after the other would have come to: a repeated turn keeps the place of
//! the first and has all else, calls included, from the last; of repeated events only the last is left. To tell the calls of
//! the last apart, turns and calls share one sequence of rowids: the calls of a turn follow it and precede the next turn.

use rusqlite::Connection;

use super::bind::{Row, Rows};
use super::fold::Folder;
use super::load::{
    CALL_COLUMNS, COMPACTION_COLUMNS, EVENT_COLUMNS, TURN_COLUMNS, Totals, bind_call, bind_turn, fold,
};
use super::rows::{Batch, Cell};
use super::schema::{LARGE, Table};

/// Rows per statement. The texts bound for about so many fit into the memory that SQLite sets aside for each connection
/// (lookaside); beyond that every text costs an allocation.
const ROWS: usize = 4;

/// Fills empty tables, all but that of the events.
pub(super) struct BulkLoader<'c> {
    turns: Inserter<'c>,
    calls: Inserter<'c>,
    compaction: Rows<'c>,
    folder: Folder<'c>,
    last_rowid: i64,
    last_session: String,
    pub(super) totals: Totals,
}

impl<'c> BulkLoader<'c> {
    pub(super) fn new(db: &'c Connection, totals: Totals) -> rusqlite::Result<Self> {
        let turn_columns = format!("rowid, {}", TURN_COLUMNS.join(", "));
        let call_columns = format!("rowid, {CALL_COLUMNS}");
        let compaction =
            format!("INSERT OR REPLACE INTO compactions ({COMPACTION_COLUMNS}) VALUES (?, ?, ?, ?, ?)");
        Ok(Self {
            turns: Inserter::new(db, "turns", &turn_columns)?,
            calls: Inserter::new(db, "tool_calls", &call_columns)?,
            compaction: Rows::prepare(db, &compaction, 1)?,
            folder: Folder::new(db)?,
            last_rowid: 0,
            last_session: String::new(),
            totals,
        })
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let text = batch.text.as_str();
        let mut turns = Vec::with_capacity(batch.turns.len());
        let mut calls = Vec::with_capacity(batch.calls.len());
        for turn in &batch.turns {
            self.last_rowid += 1;
            turns.push((self.last_rowid, turn, fold(&mut self.folder, turn, text)?));
            for (index, call) in (0_i64..).zip(batch.calls.get(turn.calls.clone()).unwrap_or_default()) {
                self.last_rowid += 1;
                calls.push((self.last_rowid, turn, index, call));
            }
            self.note_session(turn.cells[1], text);
        }
        self.turns.insert(&turns, text, |row, (rowid, turn, folded)| {
            row.value(rowid)?;
            bind_turn(row, turn, folded)
        })?;
        self.calls.insert(&calls, text, |row, (rowid, turn, index, call)| {
            row.value(rowid)?;
            bind_call(row, turn, *index, call)
        })?;
        self.compaction.forget_cells();
        for compaction in &batch.compactions {
            self.compaction.row(0, text).cells(compaction)?;
            self.compaction.execute()?;
        }
        self.totals.add(batch);
        Ok(())
    }

    fn note_session(&mut self, session: Cell, text: &str) {
        let session = session.key_text(text);
        if self.last_session != *session {
            self.last_session = session.into_owned();
            if !self.totals.session_ids.contains(&self.last_session) {
                self.totals.session_ids.insert(self.last_session.clone());
            }
        }
    }
}

/// Fills the empty table of the events.
pub(super) struct EventLoader<'c>(Inserter<'c>);

impl<'c> EventLoader<'c> {
    pub(super) fn new(db: &'c Connection) -> rusqlite::Result<Self> {
        Inserter::new(db, "tool_result_events", EVENT_COLUMNS).map(Self)
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        self.0.insert(&batch.events, &batch.text, |row, event| row.cells(event))
    }
}

/// Inserts rows into one table, [`ROWS`] at a time as long as there are so many.
struct Inserter<'c> {
    many: Rows<'c>,
    one: Rows<'c>,
}

impl<'c> Inserter<'c> {
    fn new(db: &'c Connection, table: &str, columns: &str) -> rusqlite::Result<Self> {
        let row = format!("({})", vec!["?"; columns.split(',').count()].join(", "));
        let prepare = |rows| {
            let values = vec![row.as_str(); rows].join(", ");
            Rows::prepare(db, &format!("INSERT INTO {table} ({columns}) VALUES {values}"), rows)
        };
        Ok(Self { many: prepare(ROWS)?, one: prepare(1)? })
    }

    /// Inserts rows of one batch, whose text is `text`.
    fn insert<T>(
        &mut self,
        rows: &[T],
        text: &str,
        bind: impl Fn(&mut Row<'_, 'c>, &T) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        self.many.forget_cells();
        self.one.forget_cells();
        let (many, rest) = rows.as_chunks::<ROWS>();
        for rows in many {
            for (index, row) in rows.iter().enumerate() {
                bind(&mut self.many.row(index, text), row)?;
            }
            self.many.execute()?;
        }
        for row in rest {
            bind(&mut self.one.row(0, text), row)?;
            self.one.execute()?;
        }
        Ok(())
    }
}

/// Makes the keys of turns and calls, and removes the rows that repeat one.
pub(super) fn make_keys(db: &Connection) -> rusqlite::Result<()> {
    let [turns, calls, _] = &LARGE;
    turns.create_key(db)?;
    calls.create_key(db)?;
    let columns = TURN_COLUMNS.iter().skip(3).copied().collect::<Vec<_>>().join(", ");
    db.execute_batch(&format!(
        "CREATE TEMP TABLE repeated AS {repeated};
         DELETE FROM tool_calls WHERE rowid IN (
           SELECT old.rowid FROM repeated JOIN turns AS known ON known.rowid = last
             JOIN tool_calls AS old INDEXED BY {call_index} ON {same_key} AND old.rowid < last);
         UPDATE turns SET ({columns}) = (SELECT {columns} FROM turns AS latest WHERE latest.rowid = last)
           FROM repeated WHERE turns.rowid = first;
         DELETE FROM turns WHERE rowid IN (
           SELECT old.rowid FROM repeated JOIN turns AS known ON known.rowid = first
             JOIN turns AS old INDEXED BY {turn_index} ON {same_key} AND old.rowid > first);
         DROP TABLE repeated;",
        repeated = repeated(turns),
        same_key = same_key(turns),
        turn_index = turns.key_index(),
        call_index = calls.key_index(),
    ))
}

/// Makes the key of the events, and removes the rows that repeat one.
pub(super) fn make_event_key(db: &Connection) -> rusqlite::Result<()> {
    let [.., events] = &LARGE;
    events.create_key(db)?;
    db.execute_batch(&format!(
        "DELETE FROM {table} WHERE rowid IN (
           SELECT old.rowid FROM ({repeated}) JOIN {table} AS known ON known.rowid = last
             JOIN {table} AS old INDEXED BY {index} ON {same_key} AND old.rowid < last)",
        table = events.name,
        repeated = repeated(events),
        same_key = same_key(events),
        index = events.key_index(),
    ))
}

/// Selects the first and the last row of every key that more than one row has.
fn repeated(table: &Table) -> String {
    format!(
        "SELECT min(rowid) AS first, max(rowid) AS last FROM {} INDEXED BY {} GROUP BY {} HAVING count(*) > 1",
        table.name,
        table.key_index(),
        table.key
    )
}

/// That `old` has the key of `known`.
fn same_key(table: &Table) -> String {
    let columns = table.key.split(", ").map(|column| format!("old.{column} = known.{column}"));
    columns.collect::<Vec<_>>().join(" AND ")
}
