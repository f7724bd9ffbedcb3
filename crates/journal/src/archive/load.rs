//! Putting rows into the archive (specification §6.6).

use std::collections::{BTreeMap, HashSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension as _, Statement, ToSql};

use super::fold::Folder;
use super::report::{MAX_SKIPPED_LISTED, RowCounts, SkippedLine};
use super::rows::{Batch, Cell, LineCounts, TurnRow};
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
const FIRST_FOLDED: usize = 27;

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
    /// Session ids, whatever their source, for the report.
    pub(super) session_ids: HashSet<String>,
}

/// Inserts batch after batch through statements that are prepared once.
pub(super) struct Loader<'c> {
    insert_turn: Statement<'c>,
    update_turn: Statement<'c>,
    old_fidelity: Statement<'c>,
    delete_calls: Statement<'c>,
    insert_call: Statement<'c>,
    insert_event: Statement<'c>,
    replace_event: Statement<'c>,
    insert_compaction: Statement<'c>,
    replace_compaction: Statement<'c>,
    folder: Folder<'c>,
    last_session: (String, String),
    pub(super) totals: Totals,
}

impl<'c> Loader<'c> {
    pub(super) fn new(db: &'c Connection, totals: Totals) -> rusqlite::Result<Self> {
        let columns = TURN_COLUMNS.join(", ");
        let places = places(TURN_COLUMNS.len());
        let changes: Vec<String> = TURN_COLUMNS
            .iter()
            .enumerate()
            .skip(3)
            .map(|(index, column)| format!("{column} = ?{}", index + 1))
            .collect();
        let events = self::places(14);
        Ok(Self {
            insert_turn: db
                .prepare(&format!("INSERT INTO turns ({columns}) VALUES ({places}) ON CONFLICT DO NOTHING"))?,
            update_turn: db.prepare(&format!(
                "UPDATE turns SET {} WHERE source = ?1 AND session_id = ?2 AND message_id = ?3",
                changes.join(", ")
            ))?,
            old_fidelity: db.prepare(
                "SELECT attribution_fidelity FROM turns WHERE source = ?1 AND session_id = ?2 AND message_id = ?3",
            )?,
            delete_calls: db
                .prepare("DELETE FROM tool_calls WHERE source = ?1 AND session_id = ?2 AND message_id = ?3")?,
            insert_call: db.prepare(
                "INSERT OR REPLACE INTO tool_calls (source, session_id, message_id, call_index, tool_use_id, tool_name,
                 target, args_hash, is_error, replaced_tools, collapsed_calls)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?,
            insert_event: db.prepare(&format!(
                "INSERT INTO tool_result_events ({EVENT_COLUMNS}) VALUES ({events}) ON CONFLICT DO NOTHING"
            ))?,
            replace_event: db.prepare(&format!(
                "INSERT OR REPLACE INTO tool_result_events ({EVENT_COLUMNS}) VALUES ({events})"
            ))?,
            insert_compaction: db.prepare(
                "INSERT INTO compactions (source, session_id, ts, preceding_message_id, tokens_before_compact)
                 VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
            )?,
            replace_compaction: db.prepare(
                "INSERT OR REPLACE INTO compactions (source, session_id, ts, preceding_message_id, tokens_before_compact)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
            )?,
            folder: Folder::new(db)?,
            last_session: Default::default(),
            totals,
        })
    }

    pub(super) fn apply(&mut self, batch: Batch) -> rusqlite::Result<()> {
        let text = batch.text.as_str();
        for turn in &batch.turns {
            self.turn(&batch, turn)?;
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
        let totals = &mut self.totals;
        totals.turns += batch.turns.len() as u64;
        totals.compactions += batch.compactions.len() as u64;
        totals.events += batch.events.len() as u64;
        totals.scanned_bytes += batch.scanned_bytes;
        totals.lines.add(batch.counts);
        totals.skipped_lines += batch.skipped.len() as u64;
        let room = MAX_SKIPPED_LISTED.saturating_sub(totals.skipped.len());
        totals.skipped.extend(batch.skipped.into_iter().take(room));
        Ok(())
    }

    fn turn(&mut self, batch: &Batch, turn: &TurnRow) -> rusqlite::Result<()> {
        let text = batch.text.as_str();
        let [source, session, message, _, ts, ..] = turn.cells;
        let (source_text, session_text) = (key_text(source, text), key_text(session, text));
        let (message_text, ts_text) = (message.text(text), ts.text(text));
        let key = TurnKey {
            session: Some(&session_text),
            message: message_text.as_deref(),
            ts: ts_text.as_deref(),
        };
        let folded = self.folder.fold(&source_text, key)?;
        for (index, cell) in turn.cells.iter().enumerate() {
            self.insert_turn.raw_bind_parameter(index + 1, cell.bind(text))?;
        }
        for (index, column) in folded.columns.iter().enumerate() {
            self.insert_turn.raw_bind_parameter(FIRST_FOLDED + index + 1, column)?;
        }
        self.insert_turn.raw_bind_parameter(TURN_COLUMNS.len(), &folded.json)?;
        let key_cells = [source, session, message];
        if self.insert_turn.raw_execute()? == 1 {
            self.totals.rows.turns += 1;
        } else {
            self.update(&key_cells, turn, &folded, text)?;
        }
        let class = turn.cells.get(FIDELITY_CELL).and_then(|cell| cell.text(text));
        let class = class.unwrap_or(std::borrow::Cow::Borrowed("unknown"));
        match self.totals.fidelity.get_mut(&*class) {
            Some(count) => *count += 1,
            None => {
                self.totals.fidelity.insert(class.into_owned(), 1);
            }
        }
        if self.last_session.0 != source_text || self.last_session.1 != session_text {
            self.last_session = (source_text.into_owned(), session_text.into_owned());
            if !self.totals.touched.contains(&self.last_session) {
                self.totals.touched.insert(self.last_session.clone());
                self.totals.session_ids.insert(self.last_session.1.clone());
            }
        }
        self.calls(batch, turn, &key_cells)
    }

    /// A repeated turn: every other column is replaced, and its calls go.
    fn update(
        &mut self,
        key: &[Cell; 3],
        turn: &TurnRow,
        folded: &super::fold::Folded,
        text: &str,
    ) -> rusqlite::Result<()> {
        bind(&mut self.old_fidelity, key, text)?;
        let mut rows = self.old_fidelity.raw_query();
        let old: Option<String> = rows.next()?.map(|row| row.get(0)).transpose()?.flatten();
        drop(rows);
        if let Some(count) = self.totals.fidelity.get_mut(old.as_deref().unwrap_or("unknown")) {
            *count -= 1;
        }
        bind(&mut self.update_turn, &turn.cells, text)?;
        for (index, column) in folded.columns.iter().enumerate() {
            self.update_turn.raw_bind_parameter(FIRST_FOLDED + index + 1, column)?;
        }
        self.update_turn.raw_bind_parameter(TURN_COLUMNS.len(), &folded.json)?;
        self.update_turn.raw_execute()?;
        let deleted = run(&mut self.delete_calls, key, text)? as u64;
        self.totals.rows.tool_calls = self.totals.rows.tool_calls.saturating_sub(deleted);
        Ok(())
    }

    fn calls(&mut self, batch: &Batch, turn: &TurnRow, key: &[Cell; 3]) -> rusqlite::Result<()> {
        let text = batch.text.as_str();
        let calls = batch.calls.get(turn.calls.clone()).unwrap_or_default();
        self.totals.rows.tool_calls += calls.len() as u64;
        for (index, call) in (0_i64..).zip(calls) {
            let statement = &mut self.insert_call;
            bind(statement, key, text)?;
            statement.raw_bind_parameter(4, index)?;
            for (index, cell) in call.cells.iter().enumerate() {
                statement.raw_bind_parameter(index + 5, cell.bind(text))?;
            }
            statement.raw_bind_parameter(10, &call.replaced_tools)?;
            statement.raw_bind_parameter(11, call.collapsed_calls.bind(text))?;
            statement.raw_execute()?;
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
            self.totals.session_ids.insert(session.clone());
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

/// A key as the text column will hold it: a number gets its fraction.
fn key_text(cell: Cell, text: &str) -> std::borrow::Cow<'_, str> {
    match cell {
        Cell::Number(number) if number.fract() == 0.0 => format!("{number:.1}").into(),
        Cell::Number(number) => number.to_string().into(),
        _ => cell.text(text).unwrap_or_default(),
    }
}

fn places(count: usize) -> String {
    (1..=count).map(|place| format!("?{place}")).collect::<Vec<_>>().join(", ")
}

fn bind(statement: &mut Statement<'_>, cells: &[Cell], text: &str) -> rusqlite::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        statement.raw_bind_parameter(index + 1, cell.bind(text))?;
    }
    Ok(())
}

fn run(statement: &mut Statement<'_>, cells: &[Cell], text: &str) -> rusqlite::Result<usize> {
    bind(statement, cells, text)?;
    statement.raw_execute()
}
