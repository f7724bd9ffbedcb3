//! Putting rows into the archive (specification §6.6).

use std::collections::{BTreeMap, HashSet};
use std::rc::Rc;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, ToSql};

use super::bind::{Row, Rows};
use super::fold::{Folded, Folder};
use super::report::{MAX_SKIPPED_LISTED, RowCounts, SkippedLine};
use super::rows::{Batch, CallRow, Cell, LineCounts, TurnRow};
use crate::hash::Hash64;
use crate::stamp::TurnKey;

/// All columns of `turns`: first the 27 that come from the line, then those that come from stamps.
pub(super) const TURN_COLUMNS: [&str; 32] = [
    "source",
    "session_id",
    "message_id",
    "turn_index",
    "ts",
    "model",
    "project",
    "project_key",
    "activity",
    "stop_reason",
    "has_edits",
    "retries",
    "is_sidechain",
    "subagent_id",
    "parent_subagent_id",
    "parent_tool_use_id",
    "subagent_type",
    "subagent_description",
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_create_5m_tokens",
    "cache_create_1h_tokens",
    "attribution_fidelity",
    "tokens_present",
    "cost_present",
    "workflow_id",
    "agent_id",
    "persona",
    "tier",
    "enrichment_json",
];
const FIDELITY_CELL: usize = 24;
/// Where turns without a fidelity are counted.
pub(super) const UNKNOWN_CLASS: &str = "unknown";

const COMPACTION_COLUMNS: &str = "source, session_id, ts, preceding_message_id, tokens_before_compact";

const CALL_COLUMNS: &str = "source, session_id, message_id, call_index, tool_use_id, tool_name, target, args_hash, \
     is_error, replaced_tools, collapsed_calls";

const EVENT_COLUMNS: &str = "source, session_id, message_id, tool_use_id, call_index, event_index, status, content_length, \
     content_hash, is_error, subagent_session_id, agent_id, event_source, ts";

/// What a range brought.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) turns: u64,
    pub(super) stamps: u64,
    pub(super) compactions: u64,
    pub(super) events: u64,
    pub(super) scanned_bytes: u64,
    pub(super) lines: LineCounts,
    pub(super) skipped: Vec<SkippedLine>,
    pub(super) skipped_lines: u64,
    /// What the tables hold now.
    pub(super) rows: RowCounts,
    /// Turns per fidelity class now.
    pub(super) fidelity: BTreeMap<String, i64>,
    /// Sessions whose aggregate has changed.
    pub(super) touched: HashSet<(String, String)>,
    /// Session ids, whatever their source, for the report: hashes, so that millions of sessions cost little.
    pub(super) session_ids: HashSet<Hash64>,
}

impl Totals {
    /// Counts the lines of a batch.
    pub(super) fn add(&mut self, batch: &Batch) {
        self.turns += batch.turns.len() as u64;
        self.compactions += batch.compactions.len() as u64;
        self.events += batch.events.len() as u64;
        self.scanned_bytes += batch.scanned_bytes;
        self.lines.add(batch.counts);
        self.skipped_lines += batch.skipped.len() as u64;
        let room = MAX_SKIPPED_LISTED.saturating_sub(self.skipped.len());
        self.skipped.extend(batch.skipped.iter().take(room).copied());
    }
}

/// Adds batch after batch to an archive that has rows, through statements that are prepared once.
pub(super) struct Loader<'c> {
    insert_turn: Rows<'c>,
    update_turn: Rows<'c>,
    old_fidelity: Rows<'c>,
    delete_calls: Rows<'c>,
    insert_call: Rows<'c>,
    insert_event: Rows<'c>,
    replace_event: Rows<'c>,
    insert_compaction: Rows<'c>,
    replace_compaction: Rows<'c>,
    folder: Folder<'c>,
    last_session: (String, String),
    pub(super) totals: Totals,
}

impl<'c> Loader<'c> {
    pub(super) fn new(db: &'c Connection, totals: Totals) -> rusqlite::Result<Self> {
        let prepare = |sql: &str| Rows::prepare(db, sql);
        let insert = |how: &str, table: &str, columns: &str, conflict: &str| {
            let places = places(columns.split(',').count());
            prepare(&format!("INSERT {how} INTO {table} ({columns}) VALUES ({places}) {conflict}"))
        };
        let changes: Vec<String> =
            (1..).zip(TURN_COLUMNS).skip(3).map(|(place, column)| format!("{column} = ?{place}")).collect();
        let key = "source = ?1 AND session_id = ?2 AND message_id = ?3";
        let ignore = "ON CONFLICT DO NOTHING";
        Ok(Self {
            insert_turn: insert("", "turns", &TURN_COLUMNS.join(", "), ignore)?,
            update_turn: prepare(&format!("UPDATE turns SET {} WHERE {key}", changes.join(", ")))?,
            old_fidelity: prepare(&format!("SELECT attribution_fidelity FROM turns WHERE {key}"))?,
            delete_calls: prepare(&format!("DELETE FROM tool_calls WHERE {key}"))?,
            insert_call: insert("OR REPLACE", "tool_calls", CALL_COLUMNS, "")?,
            insert_event: insert("", "tool_result_events", EVENT_COLUMNS, ignore)?,
            replace_event: insert("OR REPLACE", "tool_result_events", EVENT_COLUMNS, "")?,
            insert_compaction: insert("", "compactions", COMPACTION_COLUMNS, ignore)?,
            replace_compaction: insert("OR REPLACE", "compactions", COMPACTION_COLUMNS, "")?,
            folder: Folder::new(db)?,
            last_session: Default::default(),
            totals,
        })
    }

    pub(super) fn apply(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        self.forget_cells();
        let text = batch.text.as_str();
        for turn in &batch.turns {
            self.turn(batch, turn)?;
        }
        for compaction in &batch.compactions {
            if run(&mut self.insert_compaction, compaction, text)? == 0 {
                run(&mut self.replace_compaction, compaction, text)?;
            } else {
                self.totals.rows.compactions += 1;
            }
        }
        for event in &batch.events {
            if run(&mut self.insert_event, event, text)? == 0 {
                run(&mut self.replace_event, event, text)?;
            } else {
                self.totals.rows.tool_result_events += 1;
            }
        }
        self.totals.add(batch);
        Ok(())
    }

    fn forget_cells(&mut self) {
        let statements = [
            &mut self.insert_turn,
            &mut self.update_turn,
            &mut self.old_fidelity,
            &mut self.delete_calls,
            &mut self.insert_call,
            &mut self.insert_event,
            &mut self.replace_event,
            &mut self.insert_compaction,
            &mut self.replace_compaction,
        ];
        statements.into_iter().for_each(Rows::forget_cells);
    }

    fn turn(&mut self, batch: &Batch, turn: &TurnRow) -> rusqlite::Result<()> {
        let text = batch.text.as_str();
        let folded = fold(&mut self.folder, turn, text)?;
        bind_turn(&mut self.insert_turn.row(text), turn, &folded)?;
        if self.insert_turn.execute()? == 1 {
            self.totals.rows.turns += 1;
        } else {
            self.update(turn, &folded, text)?;
        }
        let class = turn.cells.get(FIDELITY_CELL).and_then(|cell| cell.text(text));
        let class = class.unwrap_or(std::borrow::Cow::Borrowed(UNKNOWN_CLASS));
        match self.totals.fidelity.get_mut(&*class) {
            Some(count) => *count += 1,
            None => {
                self.totals.fidelity.insert(class.into_owned(), 1);
            }
        }
        let [source, session, _] = turn.key();
        let source = self.folder.converter.key_text(source, text)?;
        let session = self.folder.converter.key_text(session, text)?;
        if self.last_session.0 != source || self.last_session.1 != session {
            self.last_session = (source.into_owned(), session.into_owned());
            if !self.totals.touched.contains(&self.last_session) {
                self.totals.touched.insert(self.last_session.clone());
                self.totals.session_ids.insert(Hash64::of(&self.last_session.1));
            }
        }
        self.calls(batch, turn)
    }

    /// A repeated turn: every other column is replaced, and its calls go.
    fn update(&mut self, turn: &TurnRow, folded: &Rc<Folded>, text: &str) -> rusqlite::Result<()> {
        self.old_fidelity.row(text).cells(&turn.key())?;
        let old: Option<String> = self.old_fidelity.query(|row| row.get(0))?.flatten();
        if let Some(count) = self.totals.fidelity.get_mut(old.as_deref().unwrap_or(UNKNOWN_CLASS)) {
            *count -= 1;
        }
        bind_turn(&mut self.update_turn.row(text), turn, folded)?;
        self.update_turn.execute()?;
        let deleted = run(&mut self.delete_calls, &turn.key(), text)? as u64;
        self.totals.rows.tool_calls = self.totals.rows.tool_calls.saturating_sub(deleted);
        Ok(())
    }

    fn calls(&mut self, batch: &Batch, turn: &TurnRow) -> rusqlite::Result<()> {
        let calls = batch.calls.get(turn.calls.clone()).unwrap_or_default();
        self.totals.rows.tool_calls += calls.len() as u64;
        for (index, call) in (0_i64..).zip(calls) {
            bind_call(&mut self.insert_call.row(&batch.text), turn, index, call)?;
            self.insert_call.execute()?;
        }
        Ok(())
    }

    /// Folds again the turns that new stamps mean. Only needed when there were turns before the stamps.
    pub(super) fn refold(&mut self, db: &Connection, rowids: &[i64]) -> rusqlite::Result<()> {
        let mut read = db.prepare("SELECT source, session_id, message_id, ts FROM turns WHERE rowid = ?1")?;
        let mut write = db.prepare(
            "UPDATE turns SET workflow_id = ?2, agent_id = ?3, persona = ?4, tier = ?5, enrichment_json = ?6
             WHERE rowid = ?1",
        )?;
        for rowid in rowids {
            let found = read
                .query_row([rowid], |row| {
                    Ok((text_of(row, 0)?, text_of(row, 1)?, text_of(row, 2)?, text_of(row, 3)?))
                })
                .optional()?;
            let Some((source, session, message, ts)) = found else { continue };
            let key = TurnKey { session: Some(&session), message: Some(&message), ts: Some(&ts) };
            let folded = self.folder.fold(&source, key)?;
            let [workflow, agent, persona, tier] = &folded.columns;
            let values: [&dyn ToSql; 6] = [rowid, workflow, agent, persona, tier, &folded.json];
            write.execute(&values[..])?;
            self.totals.session_ids.insert(Hash64::of(&session));
            self.totals.touched.insert((source, session));
        }
        Ok(())
    }
}

/// A text column, whatever bytes another program has put there.
pub(super) fn text_of(row: &rusqlite::Row<'_>, index: usize) -> rusqlite::Result<String> {
    Ok(match row.get_ref(index)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        ValueRef::Integer(value) => value.to_string(),
        ValueRef::Real(value) => crate::json::number_text(value),
        ValueRef::Null => String::new(),
    })
}

fn places(count: usize) -> String {
    (1..=count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

/// What stamps say about a turn that is about to be stored.
pub(super) fn fold(folder: &mut Folder<'_>, turn: &TurnRow, text: &str) -> rusqlite::Result<Rc<Folded>> {
    let [source, session, message, _, ts, ..] = turn.cells;
    let source = folder.converter.key_text(source, text)?;
    let session = folder.converter.key_text(session, text)?;
    let (message, ts) = (message.text(text), ts.text(text));
    let key = TurnKey { session: Some(&session), message: message.as_deref(), ts: ts.as_deref() };
    folder.fold(&source, key)
}

/// Binds [`TURN_COLUMNS`].
fn bind_turn(row: &mut Row<'_, '_>, turn: &TurnRow, folded: &Rc<Folded>) -> rusqlite::Result<()> {
    row.cells(&turn.cells)?;
    row.facts(folded)
}

/// Binds [`CALL_COLUMNS`].
fn bind_call(row: &mut Row<'_, '_>, turn: &TurnRow, index: i64, call: &CallRow) -> rusqlite::Result<()> {
    row.cells(&turn.key())?;
    row.value(index)?;
    row.cells(&call.cells)?;
    row.value(&call.replaced_tools)?;
    row.cells(&[call.collapsed_calls])
}

fn run(rows: &mut Rows<'_>, cells: &[Cell], text: &str) -> rusqlite::Result<usize> {
    rows.row(text).cells(cells)?;
    rows.execute()
}
