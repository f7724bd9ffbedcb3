//! The stamps of a range: into the table, and which stored turns they mean (specification §6.6).

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, params};

use super::report::{Problem, SkippedLine};
use crate::json::{Object, Value, stringify};
use crate::jsonl::lines;
use crate::line::{Kind, Line};
use crate::parallel::Piece;
use crate::stamp::{Condition, ReadStamp};

/// A stamp line, ready for the table.
pub(super) struct StampRow {
    session: SqlValue,
    ts: SqlValue,
    selector: String,
    enrichment: String,
    offset: u64,
    stamp: ReadStamp,
}

/// The stamp lines of a piece, and those that cannot be used.
pub(super) fn parse_stamps(piece: &mut Piece<(Vec<StampRow>, Vec<SkippedLine>)>) {
    let (stamps, skipped) = &mut piece.result;
    stamps.clear();
    skipped.clear();
    for (offset, line) in candidates(&piece.bytes, piece.offset) {
        if let Ok(Some(Line::Known(Kind::Stamp, object))) = Line::parse(&line) {
            match StampRow::new(object, offset) {
                Ok(stamp) => stamps.push(stamp),
                Err(problem) => skipped.push(SkippedLine { offset, kind: Kind::Stamp, problem }),
            }
        }
    }
}

/// The few lines that may be stamps: those that have the word, or an escape that could hide it.
fn candidates(bytes: &[u8], offset: u64) -> impl Iterator<Item = (u64, Cow<'_, str>)> {
    let mut starts = BTreeSet::new();
    let line_start = |at: usize| {
        let before = bytes.get(..at).unwrap_or_default();
        memchr::memrchr(b'\n', before).map_or(0, |end| end + 1)
    };
    starts.extend(memchr::memmem::find_iter(bytes, b"stamp\"").map(line_start));
    starts.extend(memchr::memmem::find_iter(bytes, b"\\u00").map(line_start));
    starts.into_iter().filter_map(move |start| {
        let rest = bytes.get(start..)?;
        let (_, line) = lines(rest, 0).next()?;
        Some((offset + start as u64, String::from_utf8_lossy(line)))
    })
}

impl StampRow {
    fn new(line: Object<'_>, offset: u64) -> Result<Self, Problem> {
        let (ts, selector, enrichment) = (line.get("ts"), line.get("selector"), line.get("enrichment"));
        let ts = column("ts", ts)?;
        let object = |member, value: Option<Value<'_>>| match value {
            None => Err(Problem::Missing(member)),
            Some(Value::Null) => Err(Problem::Null(member)),
            Some(Value::Object(_)) => Ok(()),
            Some(_) => Err(Problem::WrongType(member)),
        };
        object("selector", selector)?;
        object("enrichment", enrichment)?;
        let session = selector.and_then(Value::as_object).and_then(|selector| selector.get("sessionId"));
        let session = match session {
            None | Some(Value::Null) => SqlValue::Text("*".to_owned()),
            some => column("selector.sessionId", some)?,
        };
        let stamp = ReadStamp::new(selector, enrichment).ok_or(Problem::Missing("selector"))?;
        let json = |value: Option<Value<'_>>| value.map(stringify).unwrap_or_default();
        Ok(Self { session, ts, selector: json(selector), enrichment: json(enrichment), offset, stamp })
    }
}

fn column(member: &'static str, value: Option<Value<'_>>) -> Result<SqlValue, Problem> {
    match value {
        None => Err(Problem::Missing(member)),
        Some(Value::Null) => Err(Problem::Null(member)),
        Some(Value::String(text)) => Ok(SqlValue::Text(text.decode().into_owned())),
        Some(Value::Number(number)) => Ok(SqlValue::Real(number)),
        Some(_) => Err(Problem::WrongType(member)),
    }
}

/// Which stored turns the stamps of a range mean.
#[derive(Debug, Default)]
pub(super) struct Affected {
    pub(super) sessions: HashSet<String>,
    messages: HashSet<String>,
    ranges: Vec<(Option<String>, Option<String>)>,
}

impl Affected {
    fn add(&mut self, stamp: &ReadStamp) {
        let matcher = &stamp.matcher;
        match (&matcher.session, &matcher.message, &matcher.range) {
            (Condition::Text(session), ..) => {
                self.sessions.insert(session.clone());
            }
            (Condition::Any, Condition::Text(message), _) => {
                self.messages.insert(message.clone());
            }
            (Condition::Any, Condition::Any, Some((from, to))) => {
                let bound = |condition: &Condition| match condition {
                    Condition::Text(text) => Some(text.clone()),
                    _ => None,
                };
                self.ranges.push((bound(from), bound(to)));
            }
            _ => {}
        }
    }

    /// The rows of these turns, each once.
    pub(super) fn turns(&self, db: &Connection) -> rusqlite::Result<Vec<i64>> {
        let mut found = BTreeSet::new();
        let sources = sources(db)?;
        let mut of_session = db.prepare("SELECT rowid FROM turns WHERE source = ?1 AND session_id = ?2")?;
        for session in &self.sessions {
            for source in &sources {
                let rows = of_session.query_map(params![source, session], |row| row.get(0))?;
                found.extend(rows.collect::<rusqlite::Result<Vec<i64>>>()?);
            }
        }
        if !self.messages.is_empty() {
            // One pass over the primary key for all of them.
            let mut all = db.prepare("SELECT rowid, message_id FROM turns")?;
            let mut rows = all.query([])?;
            while let Some(row) = rows.next()? {
                if self.messages.contains(&super::load::text_of(row, 1)?) {
                    found.insert(row.get(0)?);
                }
            }
        }
        let mut in_range = db
            .prepare("SELECT rowid FROM turns WHERE (?1 IS NULL OR ts >= ?1) AND (?2 IS NULL OR ts <= ?2)")?;
        for (from, to) in &self.ranges {
            let rows = in_range.query_map(params![from, to], |row| row.get(0))?;
            found.extend(rows.collect::<rusqlite::Result<Vec<i64>>>()?);
        }
        Ok(found.into_iter().collect())
    }
}

/// The sources that have turns: a handful, found by leaping through the primary key.
pub(super) fn sources(db: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = db.prepare_cached(
        "WITH RECURSIVE known(source) AS (
           SELECT min(source) FROM turns
           UNION ALL SELECT (SELECT min(source) FROM turns WHERE source > known.source) FROM known
           WHERE known.source IS NOT NULL)
         SELECT source FROM known WHERE source IS NOT NULL",
    )?;
    let rows = statement.query_map([], |row| super::load::text_of(row, 0))?;
    rows.collect()
}

/// Puts stamps into the table and notes which turns they mean.
pub(super) fn insert(db: &Connection, stamps: &[StampRow], affected: &mut Affected) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached(
        "INSERT OR REPLACE INTO stamps (source, session_id, ts, selector_json, enrichment_json, ledger_offset_bytes)
         VALUES ('*', ?1, ?2, ?3, ?4, ?5)",
    )?;
    for row in stamps {
        let offset = i64::try_from(row.offset).unwrap_or(i64::MAX);
        statement.execute(params![row.session, row.ts, row.selector, row.enrichment, offset])?;
        affected.add(&row.stamp);
    }
    Ok(())
}
